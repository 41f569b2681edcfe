"""A run that nobody watches."""

import attrs

from hubbub.bench.report.live import Sample


@attrs.define
class Quiet:
    """Keeps what a run tells."""

    said: list[str] = attrs.field(factory=list)
    samples: list[Sample] = attrs.field(factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def interval(self, sample: Sample) -> None:
        self.samples.append(sample)
