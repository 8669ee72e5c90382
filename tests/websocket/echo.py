"""A WebSocket echo server, and the member behind the balancer: HOST PORT."""

import asyncio
import sys

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

# The suite's largest message has 16 MiB.
SIZE_MAX = 32 << 20


async def echo(connection):
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass


async def main(host, port):
    # Pings of its own would be in the way of cases that count frames.
    async with serve(echo, host, port, max_size=SIZE_MAX, ping_interval=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
