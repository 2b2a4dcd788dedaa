"""Draws an asciicast (version 2) as an SVG that plays: text stays sharp, and a page shows it like any picture.

The session only ever appends, so all of it is one tall text, drawn once, with two animations: the text moves up when the
terminal scrolls, and a cover over what is not yet said moves with the cursor. What rewrites the screen is refused.

    draw.py console.cast console.svg"""

import json
import re
import sys
from xml.sax.saxutils import escape

CELL_W, CELL_H, FONT = 8.4, 18, 14  # pixels
MARGIN = 14
STEP_S = 0.03  # what is said within one step appears at once
HOLD_S = 4  # the last picture, before it begins again

# Bracketed paste, which readline switches on and off, is the only control sequence that an appending session has.
PASTE_MODE = re.compile(r"\x1b\[\?2004[hl]")
PROMPT = re.compile(r"^(\$ |\w+=[#>] )(.*)$")

STYLE = """
text{font:%dpx ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace;fill:#c9d1d9;
white-space:pre}
.prompt{fill:#7ee787}.typed{fill:#fff;font-weight:bold}.question{fill:#f2cc60;font-weight:bold}
#text{animation:scroll %.2fs step-end infinite}
#cover{animation:cursor %.2fs step-end infinite}
#progress{animation:progress %.2fs linear infinite}
@keyframes progress{from{transform:scaleX(0)}to{transform:scaleX(1)}}
"""


class Transcript:
    """Lines that were said, and where the cursor was, when: (seconds, line, column), in order."""

    def __init__(self, columns):
        self._columns = columns
        self.lines = [""]
        self.cursors = []
        self._column = 0

    def say(self, seconds, text):
        for character in PASTE_MODE.sub("", text):
            if character == "\n":
                self.lines.append("")
                self._column = 0
            elif character == "\r":
                self._column = 0
            elif character < " " or self._column != len(self.lines[-1]):
                raise ValueError(f"at {seconds:.2f} s the screen is rewritten, with {character!r} behind "
                                 f"{self.lines[-1]!r}: only what appends can be drawn")
            else:
                self.lines[-1] += character
                self._column += 1
                if self._column > self._columns:
                    raise ValueError(f"a line is wider than {self._columns} columns: {self.lines[-1]!r}")
        cursor = (seconds, len(self.lines) - 1, self._column)
        if self.cursors and seconds - self.cursors[-1][0] < STEP_S:
            cursor = (self.cursors.pop()[0], *cursor[1:])
        self.cursors.append(cursor)


def read_cast(lines):
    """The header, and the transcript of what was said. ValueError: not an asciicast, or one that rewrites the screen."""
    header = json.loads(lines[0])
    if header.get("version") != 2:
        raise ValueError(f"expected an asciicast of version 2, got version {header.get('version')}")
    transcript = Transcript(header["width"])
    for line in lines[1:]:
        seconds, kind, text = json.loads(line)
        if kind == "o":
            transcript.say(seconds, text)
    return header, transcript


def span(text, column, row, name=None):
    """textLength holds the columns in place, whatever the reader's font."""
    begin = len(text) - len(text.lstrip(" "))
    text = text.strip(" ")
    if not text:
        return ""
    kind = f' class="{name}"' if name else ""
    return (f'<text{kind} x="{(column + begin) * CELL_W:.5g}" y="{row * CELL_H + FONT}" '
            f'textLength="{len(text) * CELL_W:.5g}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>')


def draw_line(text, row):
    typed = PROMPT.match(text)
    if not typed:
        return span(text, 0, row)
    prompt, command = typed.groups()
    name = "question" if command.startswith("--") else "typed"
    return span(prompt, 0, row, "prompt") + span(command, len(prompt), row, name)


def keyframes(name, places, duration):
    """One step for each change of (seconds, transform)."""
    frames, last = [], None
    for seconds, transform in places:
        if transform != last:
            percent = f"{100 * seconds / duration:.3f}".rstrip("0").rstrip(".")
            frames.append(f"{percent}%{{transform:{transform}}}")
        last = transform
    return f"@keyframes {name}{{{''.join(frames)}}}"


def draw(header, transcript):
    columns, rows = header["width"], header["height"]
    width, height = columns * CELL_W, rows * CELL_H
    duration = transcript.cursors[-1][0] + HOLD_S
    cursors = [(0, 0, 0), *transcript.cursors]
    covers = [(at, f"translate({column * CELL_W:.5g}px,{line * CELL_H}px)") for at, line, column in cursors]
    scrolls = [(at, f"translateY({-max(0, line + 1 - rows) * CELL_H}px)") for at, line, _ in cursors]
    full_w, full_h = width + 2 * MARGIN, height + 2 * MARGIN
    body = "\n".join(filter(None, (draw_line(text.rstrip(), row) for row, text in enumerate(transcript.lines))))
    last_x, last_y = cursors[-1][2] * CELL_W, cursors[-1][1] * CELL_H
    last_scroll = max(0, cursors[-1][1] + 1 - rows) * CELL_H
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full_w:g} {full_h:g}" width="{full_w:g}">
<title>{escape(header.get("title", "A terminal session"))}</title>
<style>{STYLE % (FONT, duration, duration, duration)}{keyframes("cursor", covers, duration)}
{keyframes("scroll", scrolls, duration)}</style>
<rect width="{full_w:g}" height="{full_h:g}" rx="8" fill="#0d1117"/>
<svg y="{MARGIN}" width="{full_w:g}" height="{height:g}">
<g transform="translate({MARGIN} 0)">
<g id="text" transform="translate(0 {-last_scroll})">
{body}
<g id="cover" transform="translate({last_x:g} {last_y})">
<path fill="#0d1117" d="M0 0H{full_w:g}V{height}H{-full_w:g}V{CELL_H}H0Z"/>
<rect width="{CELL_W}" height="{CELL_H}" fill="#8b949e"/>
</g>
</g>
</g>
</svg>
<rect id="progress" x="{MARGIN}" y="{full_h - 5:g}" width="{width:g}" height="2" fill="#30363d" \
transform-origin="{MARGIN} 0"/>
</svg>
"""


def main(cast, svg):
    with open(cast, encoding="utf-8") as file:
        header, transcript = read_cast(file.read().splitlines())
    picture = draw(header, transcript)
    with open(svg, "w", encoding="utf-8") as file:
        file.write(picture)
    print(f"{svg}: {len(picture) // 1000} kB, {transcript.cursors[-1][0] + HOLD_S:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
