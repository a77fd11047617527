"""Tables as text."""

from kldiv_attack._tables import markdown_table, text_lines


def test_columns_are_as_wide_as_their_widest_cell():
    rows = [("class", "n"), ("a", "1000"), ("letters", "2")]
    assert text_lines(rows) == ["class       n", "a        1000", "letters     2"]
    assert text_lines(rows, n_left=0)[1] == "      a  1000"


def test_a_markdown_table_says_how_its_columns_are_aligned():
    assert markdown_table(("class", "n"), [("a", "1000")]).splitlines() == [
        "| class |    n |",
        "|:------|-----:|",
        "| a     | 1000 |",
    ]
