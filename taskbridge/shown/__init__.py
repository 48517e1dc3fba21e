"""What comes from messages, as it may be shown: it steers no terminal, and what is secret by its name is left out."""
