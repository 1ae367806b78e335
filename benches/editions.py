#!/usr/bin/env python3
"""Times what editors do to metadata at scale, with ottvc and, where it can do that too, git, in one run.

  benches/editions.py OTTVC [--documents 100000] [--changed 1000] [--disputed 50] [--editions 500]
                      [--runs 5] [--work DIR]

A title of --documents small documents has two branches; each changes another field of --changed
documents, --disputed of which are changed on both sides in one field. `merge` is timed, dry and for real (it is
taken back with `merge --abort`), beside `git merge` of the same files. Then one field goes from the
master to --editions editions that inherit from it, and `undo` takes that back. Medians are printed.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time


def run(argv, cwd, env, statuses=(0,)):
    started = time.monotonic()
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    took = time.monotonic() - started
    if done.returncode not in statuses:
        raise SystemExit(f"{' '.join(argv)}: status {done.returncode}\n{done.stderr.decode()}")
    return took, done.stdout


def document_path(folder, number):
    return os.path.join(folder, f"{number // 1000:04d}", f"{number // 10:07d}", f"{number % 10}.meta.json")


def write(path, document):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(document, out, indent=2, sort_keys=True)
        out.write("\n")


def make(folder, count):
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(2000)]
    for number in range(count):
        path = document_path(folder, number)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, {"id": f"tt{number:07d}", "rating": "12", "rev": 1, "year": rng.randint(1950, 2026),
                     "synopsis": " ".join(rng.choices(words, k=rng.randint(4, 60))),
                     "title": {"en": " ".join(rng.choices(words, k=3))}, "genres": rng.sample(words, 3)})


def change(folder, numbers, field, value):
    for number in numbers:
        path = document_path(folder, number)
        with open(path, encoding="utf-8") as source:
            document = json.load(source)
        document[field] = value
        write(path, document)


def editors(tool, folder, env, count, changed, disputed):
    """Two branches, `main` and `cut`, each with its changes."""
    numbers = random.Random(2).sample(range(count), 2 * changed - disputed)
    both, ours, theirs = numbers[:disputed], numbers[disputed:changed], numbers[changed:]

    def commit(message):
        run([*tool, "add", "."], folder, env)
        run([*tool, "commit", "-m", message], folder, env)

    make(folder, count)
    commit("all")
    run([*tool, "branch", "cut"], folder, env)
    change(folder, ours + both, "rating", "16")
    commit("ours")
    run([*tool, "switch", "cut"], folder, env)
    change(folder, theirs, "year", 1949)
    change(folder, both, "rating", "18")
    commit("theirs")
    run([*tool, "switch", "main"], folder, env)


def family(tool, root, env, editions):
    """A master and editions that inherit from it."""
    folder = os.path.join(root, "family")
    os.makedirs(folder)
    run([*tool, "init"], folder, env)
    write(os.path.join(folder, "edition.meta.json"), {"title": {"en": "A film"}, "rating": "12"})
    run([*tool, "add", "."], folder, env)
    run([*tool, "commit", "-m", "master"], folder, env)
    for number in range(editions):
        run([*tool, "branch", f"regional/{number:03d}", "--inherit"], folder, env)
    run([*tool, "meta", "set", "edition.meta.json", '/rating="16"'], folder, env)
    run([*tool, "commit", "-m", "rated"], folder, env)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ottvc")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=1000)
    parser.add_argument("--disputed", type=int, default=50)
    parser.add_argument("--editions", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", help="a folder to work in; its disk is what is measured")
    given = parser.parse_args()
    root = tempfile.mkdtemp(prefix="editions.", dir=given.work)
    env = {"PATH": os.environ["PATH"], "HOME": root, "XDG_CONFIG_HOME": root, "XDG_CACHE_HOME": root, "TMPDIR": root,
           "OTTVC_AUTHOR": "b <b@example.org>", "GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@example.org",
           "GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@example.org"}
    ottvc, rows = [os.path.abspath(given.ottvc)], {}
    try:
        peers = {"ottvc": ottvc}
        if shutil.which("git"):
            peers["git"] = ["git", "-c", "gc.auto=0"]
        for name, tool in peers.items():
            folder = os.path.join(root, name)
            os.makedirs(folder)
            run([*tool, "init", *(["-q", "-b", "main"] if name == "git" else [])], folder, env)
            editors(tool, folder, env, given.documents, given.changed, given.disputed)
        for _ in range(given.runs):
            for name, tool in peers.items():
                folder = os.path.join(root, name)
                if name == "ottvc":
                    took, said = run([*tool, "merge", "cut", "--dry-run", "--json"], folder, env, (0, 4))
                    rows.setdefault("ottvc merge --dry-run", []).append(took)
                    conflicts = len(json.loads(said)["conflicts"])
                    if conflicts != given.disputed:
                        raise SystemExit(f"{conflicts} conflicts instead of {given.disputed}")
                took, _ = run([*tool, "merge", "cut"], folder, env, (0, 1, 4))
                rows.setdefault(f"{name} merge", []).append(took)
                run([*tool, "merge", "--abort"], folder, env)
        folder = family(ottvc, root, env, given.editions)
        for _ in range(given.runs):
            took, said = run([*ottvc, "propagate", "main", "--to", "regional/*", "--json"], folder, env)
            rows.setdefault(f"ottvc propagate to {given.editions}", []).append(took)
            took, _ = run([*ottvc, "undo"], folder, env)
            rows.setdefault("ottvc undo of it", []).append(took)
        for step, times in rows.items():
            print(f"{step}: {statistics.median(times):.2f} s (of {len(times)}: {min(times):.2f} to {max(times):.2f})")
    finally:
        shutil.rmtree(root, ignore_errors=True)


main()
