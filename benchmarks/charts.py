"""Draws charts as SVG, readable on a light and on a dark background. Pure."""
import math
from xml.sax.saxutils import escape

from dev.figures import number

__all__ = ['bars', 'panels']

#: Each has enough contrast with white and with GitHub's dark grey.
COLOURS = ['#2f81f7', '#d9730d', '#2da44e', '#8c8c8c']
_STYLE = ('text{font:12px sans-serif;fill:#57606a}.grid{stroke:#8c8c8c;stroke-opacity:.3}'
          '.title{font-weight:bold}.end{text-anchor:end}.middle{text-anchor:middle}'
          '@media(prefers-color-scheme:dark){text{fill:#adbac7}}')
_WIDTH, _HEIGHT, _LEFT, _TOP, _BESIDE, _BELOW = 180, 150, 50, 60, 50, 45


def panels(title, series, columns=5):
    """Return a chart of small panels with logarithmic axes.

    series: a dictionary of panel to a dictionary of line to a dictionary of x to y. All panels
    have the same lines and axes.
    """
    lines = list(next(iter(series.values())))
    points = [point for panel in series.values() for line in panel.values()
              for point in line.items()]
    x_axis, y_axis = (_Axis([point[place] for point in points]) for place in (0, 1))
    found = _legend(title, lines)
    for place, (panel, drawn) in enumerate(series.items()):
        left = _LEFT + place % columns * (_WIDTH + _BESIDE)
        top = _TOP + place // columns * (_HEIGHT + _BELOW)
        found += [_text(left + _WIDTH / 2, top - 6, panel, 'middle title')]
        found += _grid(x_axis, y_axis, left, top, place % columns == 0)
        for colour, line in zip(COLOURS, lines):
            found += _line([(left + x_axis.share(x) * _WIDTH, top + (1 - y_axis.share(y)) * _HEIGHT)
                            for x, y in sorted(drawn[line].items())], colour)
    rows = math.ceil(len(series) / columns)
    return _document(_LEFT + min(columns, len(series)) * (_WIDTH + _BESIDE),
                     _TOP + rows * (_HEIGHT + _BELOW), found)


def bars(title, values, unit):
    """Return a chart of horizontal bars.

    values: a dictionary of label to number.
    """
    most, found, wide = max(values.values()), [_text(10, 20, title, 'title')], 330
    for place, (label, value) in enumerate(values.items()):
        top, width = 36 + 26 * place, 420 * value / most
        found += [_text(wide - 8, top + 14, label, 'end'),
                  '<rect x="%d" y="%d" width="%.1f" height="18" fill="%s"/>'
                  % (wide, top, width, COLOURS[0]),
                  _text(wide + width + 6, top + 14, '%s %s' % (number(round(value)), unit), '')]
    return _document(wide + 560, 46 + 26 * len(values), found)


class _Axis:
    """A logarithmic axis from the power of ten below the values to the one above."""

    def __init__(self, values):
        self._first = math.floor(math.log10(min(values)) + 1e-9)
        self._last = max(math.ceil(math.log10(max(values)) - 1e-9), self._first + 1)

    def share(self, value):
        """Return the place of a value on the axis, from 0 to 1."""
        return (math.log10(value) - self._first) / (self._last - self._first)

    @property
    def ticks(self):
        """All powers of ten on the axis."""
        return [10.0 ** power for power in range(self._first, self._last + 1)]


def _legend(title, lines):
    found = [_text(10, 20, title, 'title')]
    for place, line in enumerate(lines):
        left = 480 + 150 * place
        found += ['<rect x="%d" y="11" width="18" height="4" fill="%s"/>' % (left, COLOURS[place]),
                  _text(left + 24, 18, line, '')]
    return found


def _grid(x_axis, y_axis, left, top, is_labelled):
    found = []
    for tick in x_axis.ticks:
        x = left + x_axis.share(tick) * _WIDTH
        found += ['<path class="grid" d="M%.1f %.1fv%d"/>' % (x, top, _HEIGHT),
                  _text(x, top + _HEIGHT + 15, number(tick), 'middle')]
    for tick in y_axis.ticks:
        y = top + (1 - y_axis.share(tick)) * _HEIGHT
        found += ['<path class="grid" d="M%.1f %.1fh%d"/>' % (left, y, _WIDTH)]
        if is_labelled:
            found += [_text(left - 6, y + 4, '%g' % tick, 'end')]
    return found


def _line(points, colour):
    path = 'M' + 'L'.join('%.1f %.1f' % point for point in points)
    return ['<path d="%s" fill="none" stroke="%s" stroke-width="2"/>' % (path, colour)] + [
        '<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x, y, colour) for x, y in points]


def _text(x, y, text, kind):
    return '<text x="%.1f" y="%.1f" class="%s">%s</text>' % (x, y, kind, escape(text))


def _document(width, height, found):
    return '\n'.join(['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d">'
                      % (width, height), '<style>%s</style>' % _STYLE] + found + ['</svg>', ''])
