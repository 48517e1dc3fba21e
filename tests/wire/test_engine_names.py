"""The names of the engines that we use beyond their documentation are there, and mean what they did."""

from __future__ import annotations

import inspect
import re
from weakref import WeakSet

import amqp
from amqp.serialization import decode_properties_basic
from celery.app import trace
from celery.app.amqp import Queues
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from dramatiq import Message, Worker
from dramatiq.broker import Broker, MessageProxy
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq_sqs import SQSBroker
from dramatiq_sqs.broker import SQSConsumer
from kombu.transport.redis import Channel
from kombu.transport.SQS import Channel as SqsChannel
from kombu.transport.SQS import Transport as SqsTransport


def test_celery_names():
    """Celery's tracer and worker set-up have the shape that worker.py and command.py rely on."""
    assert ["task", "uuid", "args", "kwargs", "request"] == list(inspect.signature(trace.trace_task).parameters)[:5]
    assert {"app", "hostname"} <= inspect.signature(trace.setup_worker_optimizations).parameters.keys()
    assert {"name", "task", "loader", "hostname", "app"} <= inspect.signature(trace.build_tracer).parameters.keys()
    assert ["self", "body", "message", "exc"] == list(inspect.signature(Consumer.on_unknown_task).parameters)
    assert ["self", "message", "exc"] == list(inspect.signature(Consumer.on_decode_error).parameters)
    assert ["self", "body", "message"] == list(inspect.signature(Consumer.on_unknown_message).parameters)
    assert ["self", "body", "message", "exc"] == list(inspect.signature(Consumer.on_invalid_task).parameters)
    assert {"consume_from", "select_add"} <= set(dir(Queues))
    assert isinstance(state.reserved_requests, WeakSet)
    assert isinstance(Request.message, property)


def test_kombu_names():
    """kombu's list names and options are those that brokers.py writes down."""
    assert "\x06\x16" == Channel.sep
    assert [0, 3, 6, 9] == Channel.priority_steps
    options = set(Channel.from_transport_options)
    assert {"unacked_key", "unacked_index_key", "unacked_mutex_key", "visibility_timeout"} <= options


def test_kombu_names_on_sqs():
    """kombu reads the options that worker.py gives it, and calls queues of ours as we do."""
    source = inspect.getsource(SqsChannel)
    for option in ("visibility_timeout", "sqs-creation-attributes", "predefined_queues", "region", "is_secure"):
        assert f"'{option}'" in source or f'"{option}"' in source
    assert {"wait_time_seconds", "MessageGroupId"} <= set(re.findall(r"\w+", source))
    assert {"sqs_message", "sqs_queue", "ReceiptHandle"} <= set(re.findall(r"\w+", source))
    assert "polling_interval" in inspect.getsource(SqsTransport)
    assert "Ab_1-low" == SqsChannel.entity_name(None, "Ab_1-low")


def test_dramatiq_names_on_sqs():
    """dramatiq-sqs takes the words that worker.py gives it, and finds its queues where they are given."""
    assert {"middleware", "visibility_timeout", "namespace"} <= inspect.signature(SQSBroker).parameters.keys()
    assert "sqs_queue_name" in inspect.signature(SQSBroker._get_or_create_sqs_queue).parameters
    assert "message._sqs_message.delete()" in inspect.getsource(SQSConsumer.ack)
    assert "b64encode(message.encode())" in inspect.getsource(SQSBroker.enqueue)


def test_dramatiq_names():
    """Dramatiq's message fields are those that wire.py writes, and its hooks those that worker.py calls."""
    fields = ["queue_name", "actor_name", "args", "kwargs", "options", "message_id", "message_timestamp"]
    assert fields == list(inspect.signature(Message).parameters)
    assert {"emit_before", "emit_after", "actors"} <= {*dir(Broker), *vars(Broker())}
    assert {"stuff_exception", "clear_exception"} <= set(dir(MessageProxy))
    assert ["self", "canonical_queue_name"] == list(inspect.signature(RabbitmqBroker._ensure_queue).parameters)
    assert {"queues_pending"} <= set(vars(RabbitmqBroker(host="localhost", middleware=[])))
    assert {"consumer_whitelist"} <= set(vars(Worker(Broker(middleware=[]), queues={"a"})))


def test_amqp_names():
    """py-amqp takes what reads its frames, hands on methods by number, and parses properties where we ask it to."""
    assert {"frame_handler", "socket_settings", "on_blocked"} <= inspect.signature(amqp.Connection).parameters.keys()
    assert ["connection", "callback"] == list(inspect.signature(amqp.connection.frame_handler).parameters)[:2]
    assert {"_callbacks", "send_method", "dispatch_method"} <= set(dir(amqp.Channel))
    assert ["buf", "offset"] == list(inspect.signature(decode_properties_basic).parameters)
    assert {"blocking_read", "heartbeat_tick", "collect"} <= set(dir(amqp.Connection))
