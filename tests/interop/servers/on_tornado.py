"""The paths of `asgi.py` by Tornado."""

import asyncio
import sys

from tornado.web import Application, HTTPError
from tornado.websocket import WebSocketHandler


class Echo(WebSocketHandler):
    def check_origin(self, origin):
        return True

    def select_subprotocol(self, subprotocols):
        return "second" if "second" in subprotocols else None

    def get_compression_options(self):
        return {}

    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


class End(Echo):
    def on_message(self, message):
        self.close()


class Crash(Echo):
    def on_message(self, message):
        raise RuntimeError("behind a message")


class Push(Echo):
    async def open(self):
        await self.write_message("1")
        await asyncio.sleep(1.5)
        await self.write_message("2")


class Refuse(Echo):
    def prepare(self):
        raise HTTPError(403)


class Fail(Echo):
    def prepare(self):
        raise RuntimeError("before the accept")


async def main():
    paths = {"echo": Echo, "return": End, "raise": Crash, "push": Push, "refuse": Refuse}
    paths |= {"fail": Fail, "chosen": Echo}
    routes = [(f"/{path}", handler) for path, handler in paths.items()]
    app = Application(routes, websocket_max_message_size=2 * 2**20)
    app.listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
