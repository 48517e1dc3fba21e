"""Amazon SQS as a broker, the same for every engine. The only importer of boto's client."""
