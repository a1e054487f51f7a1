"""What is on the screen, against a list of all lines that is sliced."""

from hypothesis import given
from hypothesis import strategies as st

from bisik.tui.viewport import Viewport


class Items:
    """Items of so many lines each, with absolute positions."""

    def __init__(self, sizes: list[int], first: int = 0) -> None:
        self.sizes = sizes
        self.first = first
        self.laid_out = 0

    @property
    def last(self) -> int:
        return self.first + len(self.sizes)

    def lines_of(self, position: int) -> list[str]:
        self.laid_out += 1
        return [f"{position}.{line}" for line in range(self.sizes[position - self.first])]

    def all(self) -> list[str]:
        return [line for position in range(self.first, self.last) for line in self.lines_of(position)]


def view(items: Items) -> Viewport[str]:
    return Viewport(items, items.lines_of)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=12),
    st.integers(1, 10),
    st.lists(st.integers(-12, 12), max_size=12),
)
def test_it_shows_the_slice_that_scrolling_leads_to(sizes: list[int], height: int, steps: list[int]) -> None:
    """Never beyond an end, and following once it is at the bottom again."""
    items = Items(sizes, first=-3)
    viewport = view(items)
    lines = items.all()
    top = most = max(0, len(lines) - height)
    for step in steps:
        viewport.scroll(step, height)
        top = min(most, max(0, top - step))
        assert viewport.lines(height) == lines[top : top + height]
        assert viewport.following == (top == most)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 8), st.integers(1, 20))
def test_nothing_moves_when_the_past_is_put_before(sizes: list[int], height: int, up: int) -> None:
    """Nor when something is added at the end, unless that is what one looks at."""
    items = Items(sizes)
    viewport = view(items)
    viewport.scroll(up, height)
    seen = viewport.lines(height)
    following = viewport.following
    items.sizes[:0] = [2, 3]
    items.first -= 2
    if len(seen) == height:
        assert viewport.lines(height) == seen
    items.sizes.append(1)
    if following:
        assert viewport.lines(height)[-1] == f"{items.last - 1}.0"
    elif len(seen) == height:
        assert viewport.lines(height) == seen


def test_the_work_is_that_of_a_screenful() -> None:
    """Of a list of a hundred thousand, some dozens are laid out for a page."""
    items = Items([1] * 100_000)
    viewport = view(items)
    viewport.scroll(30, 30)
    items.laid_out = 0
    viewport.scroll(30, 30)
    viewport.lines(30)
    assert items.laid_out < 300


def test_an_empty_list_shows_nothing() -> None:
    """And can be scrolled without harm."""
    viewport = view(Items([]))
    assert viewport.lines(5) == []
    assert viewport.scroll(3, 5) == viewport.scroll(-3, 5) == 0
    assert viewport.lines_above(5, 10) == 0


def test_what_was_held_may_be_gone() -> None:
    """Then the nearest item that is left is at the bottom."""
    items = Items([1] * 10)
    viewport = view(items)
    viewport.scroll(2, 3)
    del items.sizes[5:]
    assert viewport.lines(3) == ["2.0", "3.0", "4.0"]
    assert viewport.lines_above(3, 10) == 2
