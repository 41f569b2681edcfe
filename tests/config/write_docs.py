"""Put the table of all settings into docs/configuration.md: ``python -m tests.config.write_docs``."""

import re
from pathlib import Path

from hubbub.config.documents import markdown_table

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"

if __name__ == "__main__":
    table = markdown_table()
    head = re.escape(table.partition("\n")[0])
    PAGE.write_text(re.sub(rf"(?m)^{head}\n(\|.*\n)*", lambda _: table, PAGE.read_text()))
