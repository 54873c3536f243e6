"""A client on nats-py, as a Python tool would write it: it follows subjects, tails a log, and prints one JSON line for
everything that happens. The tests read those lines.

NATS_URL     nats://host:port
TOKEN        an Arvados API token
CLUSTER      the cluster's id
SESSION      the session id, sent as CONNECT user; may be left out
CREDENTIALS  "token": the token as auth_token; "password": as password. nats-py sends either a token or user and
             password, so a session id asks for "password", which is the default where there is one.
SUBJECTS     what to follow, separated by spaces
TAIL         a tail request as JSON, {"container": ..., "file": ...}
"""

import asyncio
import base64
import hashlib
import json
import os
import signal
import sys

import nats

REFILL = 32
REFUSED = "authorization violation"


def say(kind, **facts):
    print(json.dumps({"type": kind, **facts}), flush=True)


def session_token(token):
    """The public part of a token, on which the session's own subjects hang."""
    parts = token.split("/")
    if parts[0] == "v2" and len(parts) == 3:
        return parts[1]
    if parts[0] == "v2" and len(parts) == 4:
        return f"c_{parts[1]}_{parts[3]}"
    digest = hashlib.sha256(token.encode()).digest()
    return "h" + base64.b32encode(digest).decode().lower()[:26]


class Client:
    def __init__(self, env):
        self.env = env
        self.token = env["TOKEN"]
        self.sid = env.get("SESSION", "")
        self.session = f"{session_token(self.token)}.{self.sid or '_'}"
        self.prefix = f"arvados.{env['CLUSTER']}"
        self.nc = nats.NATS()
        self.ended = asyncio.Event()
        self.strikes = 0

    def credentials(self):
        default = "password" if self.sid else "token"
        if self.env.get("CREDENTIALS", default) == "password":
            return {"user": self.sid, "password": self.token}
        return {"token": self.token}

    async def connect(self):
        await self.nc.connect(
            self.env["NATS_URL"],
            name="python-client",
            inbox_prefix=f"_INBOX.{self.session}",
            max_reconnect_attempts=100,
            reconnect_time_wait=0.1,
            error_cb=self.on_error,
            disconnected_cb=self.on_disconnected,
            reconnected_cb=self.on_reconnected,
            closed_cb=self.on_closed,
            **self.credentials(),
        )

    async def run(self):
        asked = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, asked.set)
        work = [asyncio.ensure_future(wait) for wait in (self.start(), asked.wait(), self.ended.wait())]
        working, *waiting = work
        await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        if working.done() and not working.exception():
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        elif working.done():
            self.end(str(working.exception()))
        if self.ended.is_set():
            return 1
        await self.nc.close()
        await self.ended.wait()
        return 0

    async def start(self):
        await self.connect()
        say("connected", session=self.session)
        await self.follow(f"{self.prefix}.notice.{self.session}", self.on_notice)
        for subject in self.env.get("SUBJECTS", "").split():
            await self.follow(subject, self.on_event)
        if self.env.get("TAIL"):
            await self.tail(self.env["TAIL"])

    def end(self, reason):
        """Says once that there is no connection any more."""
        if not self.ended.is_set():
            say("closed", reason=reason)
        self.ended.set()

    async def follow(self, subject, handler):
        """Subscribes, and says when the server knows about it: lines that come later are not lost."""
        await self.nc.subscribe(subject, cb=handler)
        await self.nc.flush()
        say("subscribed", subject=subject)

    async def on_event(self, msg):
        headers = msg.headers or {}
        sequence = headers.get("Nats-Sequence", "")
        if headers.get("Nats-Stream") != "RECORDS" or not sequence.isdigit():
            # Not from the stream: somebody has published it himself.
            say("dropped", subject=msg.subject)
            return
        event = json.loads(msg.data)
        say(
            "event",
            subject=msg.subject,
            event_type=event["event_type"],
            object_uuid=event["object_uuid"],
            sequence=int(sequence),
        )

    async def on_notice(self, msg):
        """Logs in again where that brings new rights; where rights shrank, the server cuts us off anyway."""
        notice = json.loads(msg.data)
        say("notice", notice=notice["notice"], code=notice["code"])
        if notice["notice"] in ("permissionsGrown", "objectsMoved"):
            await self.nc.force_reconnect()

    async def tail(self, request):
        """Asks for a log and prints its chunks; half a window at a time it says that there is room for more."""
        api = f"{self.prefix}.api.{self.session}"
        inbox = self.nc.new_inbox()
        state = {"id": "", "taken": 0}

        async def on_message(msg):
            headers = msg.headers or {}
            if "Nats-Service-Error" in headers or headers.get("Status") == "503":
                say(
                    "refused",
                    code=headers.get("Nats-Service-Error-Code", ""),
                    reason=headers.get("Nats-Service-Error", ""),
                )
            elif "Arvados-Notice" in headers:
                say("tail_ended", notice=headers["Arvados-Notice"])
            elif "Arvados-Log-Offset" in headers:
                say("chunk", offset=int(headers["Arvados-Log-Offset"]), text=msg.data.decode(errors="replace"))
                state["taken"] += 1
                if state["taken"] >= REFILL and state["id"]:
                    more = {"id": state["id"], "n": state["taken"]}
                    state["taken"] = 0
                    await self.nc.publish(f"{api}.more", json.dumps(more).encode())
            else:
                state["id"] = json.loads(msg.data).get("id", "")
                say("tail", id=state["id"])

        await self.nc.subscribe(inbox, cb=on_message)
        await self.nc.publish(f"{api}.tail", request.encode(), reply=inbox)

    async def on_error(self, error):
        text = str(error) or type(error).__name__
        if "permissions violation" in text.lower():
            say("permission", reason=text)
            return
        say("error", reason=text)
        if REFUSED in text.lower():
            # nats-py would try again as often as for a lost server; nats.go gives up after the second refusal.
            self.strikes += 1
            if self.strikes == 2:
                self.end(text)

    async def on_disconnected(self):
        say("disconnected", reason="")

    async def on_reconnected(self):
        self.strikes = 0
        # Subscriptions have been sent again; with this the server has them.
        await self.nc.flush()
        say("reconnected")

    async def on_closed(self):
        self.end("")


async def main():
    return await Client(os.environ).run()


sys.exit(asyncio.run(main()))
