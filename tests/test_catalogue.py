"""The page of the catalogue names every problem, its parameters and its variants."""

import re
from pathlib import Path

import pytest

from wflow import problems

PAGE = (Path(__file__).parent.parent / "docs" / "problems.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", problems.CATALOGUE)
def test_every_problem_has_its_section_with_its_parameters(name):
    """### `name`, and each parameter in backticks."""
    for parameter in problems.parameters_of(name):
        assert f"`{parameter}`" in SECTIONS[name], parameter


def test_the_page_names_no_other_problem():
    """No section of a problem that is not there."""
    assert set(SECTIONS) == set(problems.CATALOGUE)


@pytest.mark.parametrize("name", problems.VARIANTS)
def test_every_variant_is_in_the_table(name):
    """With the problem that it is a variant of."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line]
    assert problems.VARIANTS[name][0] in row
