"""The BentoML service: the kind of service whose `Server: uvicorn` could not be turned off."""

from typing import AsyncGenerator

import bentoml


@bentoml.service(workers=1)
class Shout:
    @bentoml.api
    def shout(self, text: str) -> str:
        return text.upper()

    @bentoml.api
    def fail(self, text: str) -> str:
        raise RuntimeError("on purpose")

    @bentoml.api
    async def stream(self, parts: int) -> AsyncGenerator[str, None]:
        for number in range(parts):
            yield f"part {number}\n" * (number + 1)
