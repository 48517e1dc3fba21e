"""The names of the engines that we use beyond their documentation are there, and mean what they did."""

from __future__ import annotations

import inspect

import amqp
from amqp.serialization import decode_properties_basic
from celery.app import trace
from celery.app.amqp import Queues
from celery.worker.consumer import Consumer
from dramatiq import Message, Worker
from dramatiq.broker import Broker, MessageProxy
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from kombu.transport.redis import Channel


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


def test_kombu_names():
    """kombu's list names and options are those that brokers.py writes down."""
    assert "\x06\x16" == Channel.sep
    assert [0, 3, 6, 9] == Channel.priority_steps
    options = set(Channel.from_transport_options)
    assert {"unacked_key", "unacked_index_key", "unacked_mutex_key", "visibility_timeout"} <= options


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
