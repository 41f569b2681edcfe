"""Runs the Autobahn test suite itself against the echo server and says which cases ended otherwise than documented.

    python tests/conformance/autobahn.py --wstest wstest
    python tests/conformance/autobahn.py --wstest "python2.7 -m autobahntestsuite.wstest" --max-message-bytes 16777216

The suite needs Python 2.7 (`docs/conformance.md` says how it was installed), so no test starts it. Exit code 1 when a case
deviates that is not in the table below.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

ECHO = Path(__file__).with_name("echo.py")
PORT = 9001
DEVIATIONS = {
    "binary messages are refused: close 1003": r"1\.2\.|9\.[2468]\.",
    "a message is at most so many bytes, or 1,024 fragments: close 1009": r"9\.[135]\.",
    "UTF-8 is judged frame by frame, not byte by byte": r"6\.4\.[34]$",
    "no extension is negotiated": r"1[23]\.",
    "the suite itself gives no verdict": r"7\.1\.6$|7\.13\.",
}
"""Why a case may end otherwise than OK, and which; those under 9.1, 9.3 and 9.5 depend on the limit that was set."""


def run(wstest: str, max_message_bytes: int, folder: Path) -> dict[str, str]:
    """Every case's behaviour as the suite judged it."""
    spec = folder / "spec.json"
    server = {"agent": "hubbub", "url": f"ws://127.0.0.1:{PORT}"}
    spec.write_text(json.dumps({"outdir": str(folder), "servers": [server], "cases": ["*"], "exclude-cases": []}))
    echo = [sys.executable, str(ECHO), "--port", str(PORT), "--max-message-bytes", str(max_message_bytes)]
    with subprocess.Popen(echo, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"ready")
            subprocess.run(
                [*shlex.split(wstest), "-m", "fuzzingclient", "-s", str(spec)],
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=1_800,
            )
        finally:
            process.kill()
    found = json.loads((folder / "index.json").read_text())["hubbub"]
    return {number: _worse(case["behavior"], case["behaviorClose"]) for number, case in found.items()}


def _worse(behavior: str, behavior_close: str) -> str:
    return behavior if behavior != "OK" else behavior_close


def main() -> int:
    """Print a line per group, then what was not expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wstest", required=True, help="the suite's command, in one string")
    parser.add_argument("--max-message-bytes", type=int, default=128 * 1024)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        results = run(arguments.wstest, arguments.max_message_bytes, Path(name))
    groups: dict[int, Counter[str]] = defaultdict(Counter)
    unexpected: list[str] = []
    for number, behaviour in results.items():
        groups[int(number.partition(".")[0])][behaviour] += 1
        if behaviour != "OK" and not any(re.match(cases, number) for cases in DEVIATIONS.values()):
            unexpected.append(f"{number}: {behaviour}")
    for group, counts in sorted(groups.items()):
        print(f"{group:>3}  {sum(counts.values()):>4} cases: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    print("\n".join(["not expected:", *sorted(unexpected)] if unexpected else ["no other deviation than documented"]))
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
