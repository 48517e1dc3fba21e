"""Is this Redis fit to keep what must not be lost? Each finding names the setting to change.

What the server will not tell (a managed one often denies CONFIG) is a warning, not a refusal.
"""

from __future__ import annotations

import re
from contextlib import suppress

from ...errors import StoreFull, StoreUnavailable, StoreUnfit
from ...redis.server import Server
from ...store_wait import StoreWait
from .. import Fitness
from ..keys import SCHEMA, Keys

#: The oldest servers the scripts are tried on. Source: docs/store.md.
OLDEST = {"redis": (6, 2), "valkey": (7, 2)}

#: From this Redis on WAITAOF waits for the disk under ``appendfsync everysec``; before, and on Valkey up to 9.1.2, it
#: says so before the disk has it. Source: redis/redis#13793; traced on Redis 7.4.1 and 8.2.3 and on Valkey 9.1.2.
PROMPT = (8, 0)

#: How INFO shows a replica, in each release of both.
_REPLICA = re.compile(r"slave\d+")


def fitness(server: Server, keys: Keys, wait: StoreWait | None = None) -> Fitness:
    """Look at the server and say what is wrong with it; ``wait`` is what it is to wait for."""
    info = _info(server)
    name, version = _version(info)
    fatal: list[str] = []
    warnings: list[str] = []
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1":
        fatal.append("it is a Cluster; use one primary, with Sentinel for failover")
    if version < OLDEST[name]:
        fatal.append(f"{name} {'.'.join(map(str, version))} is too old; expected {'.'.join(map(str, OLDEST[name]))}")
    if info.get("role") not in (None, "master"):
        fatal.append("it is a replica; use the primary's address, or sentinel://")
    if info.get("maxmemory", "0") != "0" and info.get("maxmemory_policy") != "noeviction":
        fatal.append(f"maxmemory-policy is {info.get('maxmemory_policy')}: set maxmemory-policy noeviction")
    elif info.get("maxmemory_policy", "noeviction") != "noeviction":
        warnings.append(f"maxmemory-policy is {info.get('maxmemory_policy')}: set maxmemory-policy noeviction")
    if info.get("aof_enabled") == "0" and not _saves(server):
        warnings.append("nothing is kept on disk: set appendonly yes, or a restart loses every message")
    if info.get("rdb_last_bgsave_status") == "err" and info.get("aof_enabled") == "0":
        fatal.append("its last snapshot failed (MISCONF): free its disk, see rdb_last_bgsave_status")
    if info.get("aof_last_write_status") == "err":
        fatal.append("it cannot write its append-only file: free its disk, see aof_last_write_status")
    fatal += _schema(server, keys)
    missing: list[str] = []
    if wait and wait.kind == "aof":
        if unusable := _no_file(server, info):
            fatal += unusable
        else:
            faults, doubts = _unsure_file(server, prompt=version >= PROMPT and name == "redis")
            fatal, warnings = fatal + faults, warnings + doubts
    elif wait:
        fatal += _refused(server, "WAIT", 0, 1)
        missing += _no_replica(info)
    return Fitness(
        server=f"{name} {'.'.join(map(str, version))}",
        fatal=tuple(fatal),
        missing=tuple(missing),
        warnings=tuple(warnings),
    )


def _info(server: Server) -> dict[str, str]:
    text = bytes(server.call("INFO")).decode(errors="replace")
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _version(info: dict[str, str]) -> tuple[str, tuple[int, ...]]:
    name = "valkey" if "valkey_version" in info else "redis"
    text = info.get(f"{name}_version", "0.0")
    return name, tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def _saves(server: Server) -> bool:
    """Whether snapshots are set up; taken for granted where CONFIG is denied."""
    return _configured(server, "save") != ""


def _configured(server: Server, setting: str) -> str | None:
    """What the server is set to; None where CONFIG is denied."""
    try:
        return bytes(server.call("CONFIG", "GET", setting)[1]).decode()
    except (StoreUnfit, IndexError):
        return None


def _no_replica(info: dict[str, str]) -> list[str]:
    online = [name for name, said in info.items() if _REPLICA.fullmatch(name) and "state=online" in said]
    if online:
        return []
    return ["no replica is attached to it, and store_wait is 'replica': attach one (replicaof), or set no store_wait"]


def _no_file(server: Server, info: dict[str, str]) -> list[str]:
    if refused := _refused(server, "WAITAOF", 0, 0, 1):
        return refused
    if info.get("aof_enabled") == "0":
        return ["it has no append-only file, and store_wait is 'aof': set appendonly yes"]
    return []


def _unsure_file(server: Server, *, prompt: bool) -> tuple[list[str], list[str]]:
    """What is wrong with how its file gets on disk, and what is to be known; ``prompt`` of one that says when it is."""
    how, set_always = _configured(server, "appendfsync"), "set appendfsync always"
    if how == "no":
        return [f"appendfsync is no, and store_wait is 'aof': nothing is ever confirmed; {set_always}"], []
    if how == "everysec" and not prompt:
        early = "this server confirms before its disk has it, as Redis before 8.0 and Valkey do (redis/redis#13793)"
        return [f"appendfsync is everysec, and store_wait is 'aof': {early}; {set_always}"], []
    if how == "everysec":
        return [], [f"appendfsync is everysec, and store_wait is 'aof': each end waits up to a second; {set_always}"]
    if how is None and not prompt:
        return [], [f"it tells no appendfsync, and store_wait is 'aof': under everysec it confirms early; {set_always}"]
    return [], []


def _refused(server: Server, command: str, *words: int) -> list[str]:
    """What ``store_wait`` lives by is tried where it has nothing to wait for."""
    try:
        server.call(command, *words)
    except StoreUnfit as error:
        if "denies access" in str(error):
            return [f"its ACL denies {command}, and store_wait is set; see the ACL in docs/store.md"]
        return [f"it has no {command}: store_wait 'aof' needs Redis 7.2 or Valkey; set store_wait 'replica', or none"]
    except StoreUnavailable:  # it is a replica, or has no file, which is told by itself
        pass
    return []


def _schema(server: Server, keys: Keys) -> list[str]:
    """Compare the store's schema with ours, and write ours down in an empty store."""
    try:
        with suppress(StoreFull):
            server.call("SET", keys.schema, SCHEMA, "NX")
        found = bytes(server.call("GET", keys.schema) or b"").decode()
    except (StoreUnfit, StoreUnavailable) as error:
        return [f"it cannot be written to: {error}"]
    if found not in {"", SCHEMA}:
        return [f"its schema is {found!r} and this release knows {SCHEMA!r}: run the release that wrote it"]
    return _denied(server, keys) if found else []


def _denied(server: Server, keys: Keys) -> list[str]:
    """Try every command of the scripts where it changes nothing, and name those that the ACL denies."""
    denied = []
    for command in _harmless(keys):
        try:
            server.call(*command)
        except StoreUnfit as error:
            if "denies access" in str(error):
                denied.append(command[0])
        except StoreUnavailable:
            continue
    if not denied:
        return []
    where = keys.schema.rpartition(":")[0]
    return [f"its ACL denies {', '.join(sorted(denied))} on {where}:*; see the ACL in docs/store.md"]


def _harmless(keys: Keys) -> list[tuple[str, *tuple[str | int | float, ...]]]:
    """Aimed at a string, which refuses what is meant for other types, or at a key that is never there."""
    string, nobody = keys.schema, keys.message
    return [
        *(("HMGET", string, ""), ("HGET", string, ""), ("HSET", string, "", ""), ("HDEL", string, "")),
        *(("HINCRBY", string, "", 1), ("HGETALL", string), ("HEXISTS", string, "")),
        *(("ZADD", string, 0, ""), ("ZREM", string, ""), ("ZRANGE", string, 0, 0), ("ZSCORE", string, "")),
        *(("ZRANGEBYSCORE", string, 0, 0), ("ZREVRANGEBYSCORE", string, 0, 0), ("ZREMRANGEBYSCORE", string, 0, 0)),
        *(("HLEN", string), ("ZCARD", string), ("PERSIST", nobody)),
        *(("LPUSH", string, ""), ("LLEN", string), ("BLPOP", string, 0.01)),
        *(("EXISTS", nobody), ("DEL", nobody), ("PEXPIRE", nobody, 1), ("INCR", keys.fence), ("TIME",)),
        *(("EVAL", "return 1", 1, nobody), ("SCRIPT", "LOAD", "return 1")),
    ]
