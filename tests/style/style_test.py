"""The tree keeps the rules of rules.py, and every rule is able to fail. Run by ctest as style.*."""

import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import rules  # noqa: E402  (after the line that keeps the tree free of caches)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEXTS = (".h", ".cpp", ".py", ".sh", ".js", ".md", ".txt", ".toml", ".sql", ".json", ".cmake")
IGNORED_FOLDERS = {"build", ".mosaic", "node_modules", ".git", "__pycache__"}


def tree_paths():
    """Tracked and new files; without git (a source archive) everything outside of build/."""
    git = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                         capture_output=True, text=True, check=False)
    if git.returncode == 0:
        return sorted(set(git.stdout.splitlines()))
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in IGNORED_FOLDERS]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return sorted(found)


def tree_files():
    for path in tree_paths():
        full = os.path.join(ROOT, path)
        if not os.path.isfile(full) or not (path.endswith(TEXTS) or path == ".ci/run"):
            continue
        if "/corpus/" in path:
            continue  # what fuzzers found is bytes, not text
        with open(full, encoding="utf-8") as file:
            yield rules.SourceFile(path, file.read())


class Tree(unittest.TestCase):
    def test_keeps_every_rule(self):
        violations = [line for file in tree_files() for line in rules.check_file(file)]
        self.assertEqual(violations, [], "\n" + "\n".join(violations))

    def test_is_seen_by_the_test(self):
        paths = {file.path for file in tree_files()}
        self.assertGreater(len(paths), 30)
        for path in ("routing/ids.h", "quickstart.sh", "tests/style/rules.py"):
            self.assertIn(path, paths)


class Rules(unittest.TestCase):
    def test_each_flags_its_bad_sample(self):
        for rule in rules.RULES:
            with self.subTest(rule=rule.name, reason=rule.reason):
                self.assertTrue(list(rule.check(rule.bad)), f"[{rule.name}] misses its bad sample")

    def test_each_passes_its_good_sample(self):
        for rule in rules.RULES:
            with self.subTest(rule=rule.name, reason=rule.reason):
                self.assertEqual(list(rule.check(rule.good)), [])

    def test_a_bad_sample_breaks_no_other_rule(self):
        for rule in rules.RULES:
            with self.subTest(rule=rule.name, reason=rule.reason):
                broken = {line.split("[")[1].split("]")[0] for line in rules.check_file(rule.bad)}
                self.assertEqual(broken, {rule.name})

    def test_literals_and_comments_are_no_code(self):
        text = 'auto a = "uv_run"; // uv_run\nauto b = R"x(uv_run)x"; /* uv_run\n uv_run */ char c = \'"\'; int d = 1\'000;\nuv_run();\n'
        code = rules.strip_comments_and_literals(text)
        self.assertEqual(code.count("uv_run"), 1)
        self.assertEqual(code.count("\n"), text.count("\n"))
        self.assertIn("1'000", code)


if __name__ == "__main__":
    unittest.main()
