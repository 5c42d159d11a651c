"""`demo`: watch a connection break and heal."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence

from heimdall_reactive.base.exceptions import WaitTimeout
from heimdall_reactive.base.starting import start_task
from heimdall_reactive.base.state import ConnectionState, Status
from heimdall_reactive.devserver import DevServer

from .output import CommandError, Output
from .picture import Picture, Scene
from .stage import DemoStage
from .story import CHAPTERS, Chapter
from .text import describe
from .view import choose_view

__all__ = ["demo"]

_LENGTH = 20.0  # seconds of the story as it is written


async def demo(options: argparse.Namespace, out: Output) -> int:
    """Play the story, and print whether it went as told.

    Raises:
        CommandError: the port cannot be bound.
    """
    server = DevServer(port=options.port, echo=True)
    try:
        await server.start()
    except OSError as error:
        raise CommandError(
            f"cannot listen on 127.0.0.1:{options.port}: {error.strerror}; try another --port"
        ) from None
    try:
        stage = DemoStage(server, options.seconds / _LENGTH)
        async with stage.store:
            return await _show(stage, options.seconds, out)
    finally:
        await server.stop()


async def _show(stage: DemoStage, seconds: float, out: Output) -> int:
    picture = Picture(show=lambda _: None, seconds=seconds)
    picture.scenes = [Scene(chapter.title, chapter.text) for chapter in CHAPTERS]
    with choose_view(picture, out) as view:
        picture.show = view.show
        picture.observe(stage.store)
        tasks = [start_task(view.draw()), start_task(stage.publish())]
        try:
            problem = await _play(stage, picture)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    for line in _summary(stage, picture, problem):
        out.line(line)
    return 1 if problem else 0


async def _play(stage: DemoStage, picture: Picture) -> str:
    """Play the chapters, and return what did not go as told, or nothing."""
    due = time.monotonic()
    for chapter, scene in zip(CHAPTERS, picture.scenes, strict=True):
        due += chapter.length * stage.unit
        picture.states.clear()
        picture.tell(chapter.text)
        scene.told = True
        problem = await _act(chapter, stage, picture.states)
        scene.outcome = not problem
        if problem:
            return f"{chapter.title}: {problem}"
        await asyncio.sleep(max(0.3 * stage.unit, due - time.monotonic()))
    picture.tell("the story ends: disconnect()")
    stage.store.disconnect()
    try:
        await stage.reach(lambda state: state.status is Status.DISCONNECTED)
    except WaitTimeout:
        return "the store did not disconnect"
    return f"{stage.lost} notes were lost" if stage.lost else ""


async def _act(chapter: Chapter, stage: DemoStage, seen: Sequence[ConnectionState]) -> str:
    """Let a chapter happen, and return what did not go as told, or nothing."""
    try:
        await chapter.act(stage)
    except WaitTimeout:
        now = describe(stage.store.state.value)
        return f"not over after {stage.limit:.0f} s, the store is {now}"
    if chapter.proof(seen):
        return ""
    return f"the store went another way: {', '.join(describe(state) for state in seen[-4:])}"


def _summary(stage: DemoStage, picture: Picture, problem: str) -> Iterator[str]:
    stats = stage.store.stats
    done = [scene for scene in picture.scenes if scene.outcome]
    yield ""
    yield "Summary"
    yield f"  story           {', '.join(scene.title for scene in done) or 'nothing'}"
    yield f"  connections     {picture.state.session}, with {stats.attempts} attempts"
    yield f"  messages        {stats.received} received, {stats.sent} sent, {stage.lost} lost"
    yield f"  longest outage  {picture.longest:.1f} s"
    yield f"  tokens          {stage.tokens_issued} from the provider"
    yield f"  took            {time.monotonic() - picture.began:.1f} s"
    verdict = f"not as told: {problem}" if problem else "healed every time, as told"
    yield f"  verdict         {len(done)} of {len(CHAPTERS)} chapters, {verdict}"
