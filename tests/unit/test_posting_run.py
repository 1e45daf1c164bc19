"""The summary of a posting run: counted, and harmless whatever a reason says."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasks.reports.posting_run import Done, escaped, summary


def test_a_run_is_summed_up_by_status_lateness_and_reason() -> None:
    done = [
        *[Done("published", None, late / 1000) for late in range(1, 101)],
        Done("refused", "duplicate | you said that", None),
        Done("refused", "duplicate | you said that", 0.05),
        Done("unknown", "the answer never came", 0.2),
    ]
    said = summary(done)
    assert "| published | 100 |" in said
    assert "| refused | 2 |" in said
    assert "| unknown | 1 |" in said
    assert "p50 50 ms, p99 100 ms, most 200 ms" in said
    assert "| refused | duplicate \\| you said that | 2 |" in said


def test_one_post_alone_and_none_that_left_are_summed_up_as_well() -> None:
    assert "p50 7 ms, p99 7 ms, most 7 ms" in summary([Done("published", None, 0.007)])
    assert "nothing was sent" in summary([Done("refused", "malformed", None)])


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_a_reason_stays_text_in_one_line(reason: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).render(f"because {escaped(reason)}")
    assert html.startswith("<p>because")
    assert html.count("<") == 2
    assert "\n" not in escaped(reason)


def test_the_cost_is_summed() -> None:
    done = [Done("published", None, 0.01, Decimal("0.015")), Done("unknown", "no answer", 0.01, Decimal("0.2"))]
    assert "**Cost** on X, what is unknown included: $0.215" in summary(done)
