"""The file and what it must come to: the generator repeats itself, the plain loop is plain, nothing is guessed."""

from decimal import Decimal
from pathlib import Path

import pytest

from examples.fintech import clearing, generate, rows
from examples.fintech.plain import expect

HEADER = ";".join(f'"{column}"' for column in rows.COLUMNS)


def test_the_generator_repeats_itself():
    """The same seed gives the same bytes, another seed others."""
    assert list(generate.generate(500, seed=3)) == list(generate.generate(500, seed=3))
    assert list(generate.generate(500, seed=3)) != list(generate.generate(500, seed=4))


def test_the_generator_writes_what_was_asked_for(export: Path):
    """So many good rows by day, one that nobody can read, and something for every rule."""
    expected = expect(export)

    assert 200 == len(expected.booked)
    assert 1 == len(expected.refused)
    assert {"amount", "velocity"} == {alert.partition(":")[0] for alert in expected.alerts}
    assert {1, 2, 3} == {clearing.looks(row) for row in expected.settled}
    assert {"alert", "credit"} == {name.partition(":")[0] for name in expected.notifications}


def test_the_plain_loop_adds_up(tmp_path: Path):
    """Credits add, both kinds of debit take away, to the cent; what cannot be read is named by its line."""
    path = tmp_path / "small.csv"
    lines = (
        HEADER,
        '1;7;930101;"PRIJEM";"VKLAD";0.10;0.10;"";"";',
        '2;7;930101;"PRIJEM";"VKLAD";0.20;0.30;"";"";',
        rows.POISON,
        '3;7;930102;"VYDAJ";"VYBER";0.29;0.01;"";"";',
        '4;8;930102;"VYBER";"VYBER";5.00;-5.00;" ";"AB";"00000001"',
    )
    path.write_bytes("\r\n".join(lines).encode())

    expected = expect(path)

    assert {7: (3, Decimal("0.01")), 8: (1, Decimal("-5.00"))} == {
        number: (account.count, account.total) for number, account in expected.accounts.items()
    }
    assert ((Decimal("0.30"), Decimal("-0.29")), {4: 1}) == (
        (expected.accounts[7].credits, expected.accounts[7].debits),
        expected.refused,
    )
    assert {1, 7, 8} == expected.posted
    assert {5, 6} == expected.screened


@pytest.mark.parametrize("size", [1, 7, 400, 10_000])
def test_pages_cover_every_row_once(export: Path, size: int):
    """However the file is cut, its pages give each row once, with its line number."""
    lines = export.read_text("ascii").splitlines()

    found = [row for page in rows.pages(export, size) for row in rows.read(export, page)]

    assert list(enumerate(lines, start=1))[1:] == found


def test_another_file_is_refused(tmp_path: Path):
    """A file with other columns is not imported as if it were the bank's."""
    path = tmp_path / "other.csv"
    path.write_text("a;b\n1;2\n")

    with pytest.raises(ValueError, match="expected the columns trans_id"):
        list(rows.pages(path, 100))


@pytest.mark.parametrize("amount", ["12.3O", "12.3", "12", "-1.00", "1e2", "", "1.000", "\u0663.\u0660\u0660"])
def test_an_amount_that_is_not_exact_is_refused(amount: str):
    """Nothing is rounded or guessed."""
    with pytest.raises(ValueError, match="expected an amount"):
        rows.cents(amount)


def test_the_lock_is_of_the_account_that_is_booked(export: Path):
    """What a page's loader reads from a line is what parsing gives, for every row that can be parsed."""
    for page in rows.pages(export, 400):
        for row, text in rows.read(export, page):
            if text != rows.POISON:
                assert rows.parse(row, text).account == rows.account_of(text)


@pytest.mark.parametrize(
    ("line", "account"),
    [
        ('1;7;930101;"PRIJEM"', 7),
        ('"a;b";"7";rest', 7),
        ("", 0),
        ("1", 0),
        ("1;;2", 0),
        ("1;seven;2", 0),
        ('"1;7', 0),
        ("1;7\r;2", 0),
        (f"1;{'9' * 5_000};2", 0),
        (f"{'x' * 200_000};7", 0),
    ],
)
def test_a_line_that_cannot_be_read_has_account_0(line: str, account: int):
    """It stops no page: it is handed on, and refused where it is booked."""
    assert account == rows.account_of(line)
