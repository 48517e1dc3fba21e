"""RabbitMQ as a broker: the only importer of py-amqp, and nothing of any engine."""
