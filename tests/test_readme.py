"""The README's code runs as it stands."""

import re
from pathlib import Path


def test_code_blocks_of_the_readme():
    text = (Path(__file__).parents[1] / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        names = {}
        exec(block, names)
        assert 0.1 < names["alarms"].mean() < 0.5
