"""The recording in README: how it is drawn, and that what is committed is whole. Run by ctest as bench.recording."""

import json
import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECORDING = os.path.join(ROOT, "bench/recording")
sys.dont_write_bytecode = True
sys.path.insert(0, RECORDING)
import draw  # noqa: E402  (after the path to it)


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def cast(*said, width=40, height=3):
    header = {"version": 2, "width": width, "height": height}
    return [json.dumps(header)] + [json.dumps([at, "o", text]) for at, text in said]


class Drawing(unittest.TestCase):
    def test_a_line_stands_once_however_it_came(self):
        header, transcript = draw.read_cast(cast((1, "$ "), (2, "l"), (3, "s"), (4, "\r\nfiles\r\n$ ")))
        self.assertEqual(transcript.lines, ["$ ls", "files", "$ "])
        self.assertEqual(transcript.cursors, [(1, 0, 2), (2, 0, 3), (3, 0, 4), (4, 2, 2)])
        self.assertEqual(draw.draw(header, transcript).count(">files</text>"), 1)

    def test_what_comes_at_once_appears_at_once(self):
        _, transcript = draw.read_cast(cast((1, "a"), (1.01, "b"), (1.5, "c")))
        self.assertEqual(transcript.cursors, [(1, 0, 2), (1.5, 0, 3)])

    def test_the_text_moves_up_when_the_terminal_is_full(self):
        header, transcript = draw.read_cast(cast((1, "1\r\n2\r\n3"), (2, "\r\n4"), (4, "\r\n5")))
        picture = draw.draw(header, transcript)  # 8 s: 4 and the last picture's 4
        self.assertIn("@keyframes scroll{0%{transform:translateY(0px)}25%{transform:translateY(-18px)}"
                      "50%{transform:translateY(-36px)}}", picture)

    def test_a_screen_that_is_rewritten_is_refused(self):
        for rewriting in ("\rtwo", "\b \b", "\x1b[K", "\tafter"):
            with self.subTest(rewriting=rewriting), self.assertRaisesRegex(ValueError, "rewritten"):
                draw.read_cast(cast((1, "one"), (2, rewriting)))

    def test_a_line_wider_than_the_terminal_is_refused(self):
        with self.assertRaisesRegex(ValueError, "wider than 4 columns"):
            draw.read_cast(cast((1, "12345"), width=4))

    def test_another_version_of_the_format_is_refused(self):
        with self.assertRaisesRegex(ValueError, "version 2, got version 3"):
            draw.read_cast(['{"version": 3}'])

    def test_markup_in_what_was_said_is_text(self):
        self.assertIn("&lt;b&gt; &amp; c", draw.draw(*draw.read_cast(cast((1, "<b> & c")))))


class Committed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        lines = text_of(os.path.join(RECORDING, "console.cast")).splitlines()
        cls.header, cls.transcript = draw.read_cast(lines)

    def test_the_picture_is_drawn_from_the_recording(self):
        self.assertEqual(text_of(os.path.join(RECORDING, "console.svg")), draw.draw(self.header, self.transcript),
                         "run bench/recording/record.sh --svg")

    def test_it_answers_every_question_of_the_readme(self):
        table = text_of(os.path.join(ROOT, "README.md")).split("| question | view |\n|---|---|\n")[1].split("\n\n")[0]
        asked = set(re.findall(r"^mosaic=[#>] SHOW (\w+)", "\n".join(self.transcript.lines), re.MULTILINE))
        for row in table.splitlines():
            question, views = row.strip("| ").split(" | ")
            with self.subTest(question=question):
                self.assertTrue(asked & set(re.findall(r"\b[A-Z_]{4,}\b", views)), f"none of {views} in {sorted(asked)}")

    def test_it_met_no_error(self):
        self.assertEqual([line for line in self.transcript.lines if line.startswith("ERROR") or line == "(0 rows)"], [])

    def test_it_tells_nothing_of_the_machine(self):
        paths = re.findall(r"/(?:root|home|work|tmp|usr|var)\b\S*", "\n".join(self.transcript.lines))
        self.assertEqual(paths, [])
        self.assertEqual(set(self.header["env"]), {"TERM"})


if __name__ == "__main__":
    unittest.main()
