#!/usr/bin/env python3
"""Runs ottvc beside the tools it finds installed, on the same corpora in one run, and prints tables.

  benches/beside.py OTTVC [--mib 512] [--documents 20000] [--many 0] [--runs 3] [--peers restic,borg]
                    [--media FILE]... [--part media|documents] [--rows FILE] [--work DIR] [--write PAGE]

Corpora are made once (ffmpeg): an H.264 and a ProRes master with sound of about --mib MiB each, or the
files given with --media, and --documents small JSON files. With --many, ottvc and git also keep that
many documents, once, to show what grows with them. Every writing step ends with the same barrier, syncfs
of the work folder, which counts into its time. Before each step of the media table the page cache is
dropped where the system lets us. Ratios are taken within one run; the tables show medians. With --rows,
each measurement also goes to FILE, and those that are there count too: hours of measuring can be
broken off. --write puts the tables into PAGE between the lines `<!-- begin tables -->` and
`<!-- end tables -->`.
"""
import argparse
import ctypes
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
GIB = 1 << 30


def barrier(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        if LIBC.syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(handle)


def drop_cache():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as knob:
            knob.write("1")
        return True
    except OSError:
        return False


class Meter:
    """Adds up what commands take: wall and processor seconds, and the largest memory of one."""

    def __init__(self):
        self.wall = self.cpu = 0.0
        self.rss = 0

    def run(self, argv, cwd=None, env=None):
        started = time.monotonic()
        process = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(argv)}: {errors.decode('utf-8', 'replace')[-800:]}")
        self.wall += time.monotonic() - started
        self.cpu += usage.ru_utime + usage.ru_stime
        self.rss = max(self.rss, usage.ru_maxrss)

    def barrier(self, folder):
        started = time.monotonic()
        barrier(folder)
        self.wall += time.monotonic() - started


class Tool:
    """One way to keep versions. `root` is its own folder, `tree` what it keeps."""

    name = ""
    program = ""

    def __init__(self, root):
        self.root, self.tree, self.store = root, os.path.join(root, "tree"), os.path.join(root, "store")
        os.makedirs(self.tree)
        self.env = {"PATH": os.environ["PATH"], "HOME": root, "XDG_CONFIG_HOME": root, "XDG_CACHE_HOME": root,
                    "RESTIC_PASSWORD": "x", "BORG_BASE_DIR": root, "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
                    "GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@example.org", "GIT_COMMITTER_NAME": "b",
                    "GIT_COMMITTER_EMAIL": "b@example.org", "OTTVC_AUTHOR": "b <b@example.org>", "TMPDIR": root}
        self.count = 0
        self.setup()

    def do(self, meter, *argv, cwd=None):
        meter.run(list(argv), cwd or self.tree, self.env)

    def setup(self):
        pass

    def held(self):
        return [self.store]


class Cp(Tool):
    name, program = "cp", "cp"

    def keep(self, meter):
        self.do(meter, "cp", "-a", "--reflink=never", self.tree, self.store)

    def keep_again(self, meter):
        self.do(meter, "cp", "-au", "--reflink=never", self.tree + "/.", self.store)

    def restore(self, meter, out):
        self.do(meter, "cp", "-a", "--reflink=never", self.store, out)


class Ottvc(Tool):
    name = "ottvc"

    def setup(self):
        self.do(Meter(), self.program, "init")

    def held(self):
        return [os.path.join(self.tree, ".ottvc")]

    def keep(self, meter):
        self.do(meter, self.program, "add", ".")
        self.do(meter, self.program, "commit", "-m", "m")

    def keep_again(self, meter):
        self.do(meter, self.program, "add", ".")

    def restore(self, meter, out):
        self.do(meter, self.program, "checkout", "HEAD", "--to", out)

    def one_scanned(self, meter, _path):
        self.do(meter, self.program, "commit", "-a", "-m", "m")

    def one_named(self, meter, path):
        self.do(meter, self.program, "commit", "-m", "m", path)

    def branch(self, meter):
        self.count += 1
        self.do(meter, self.program, "branch", f"b{self.count}")

    def diff(self, meter):
        self.do(meter, self.program, "diff", "HEAD~1", "HEAD", "--stat")


class Git(Tool):
    name, program = "git", "git"

    def setup(self):
        self.do(Meter(), "git", "init", "-q")
        self.do(Meter(), "git", "config", "gc.auto", "0")

    def held(self):
        return [os.path.join(self.tree, ".git")]

    def keep(self, meter):
        self.do(meter, "git", "add", ".")
        self.do(meter, "git", "commit", "-qm", "m")

    def keep_again(self, meter):
        self.do(meter, "git", "add", ".")

    def restore(self, meter, out):
        os.makedirs(out)
        self.do(meter, "git", "--work-tree", out, "checkout", "HEAD", "--", ".")

    def one_scanned(self, meter, _path):
        self.do(meter, "git", "commit", "-qam", "m")

    def one_named(self, meter, path):
        self.do(meter, "git", "commit", "-qm", "m", path)

    def branch(self, meter):
        self.count += 1
        self.do(meter, "git", "branch", f"b{self.count}")

    def diff(self, meter):
        self.do(meter, "git", "diff", "--stat", "HEAD~1", "HEAD")


class GitLfs(Git):
    name, program = "git-lfs", "git-lfs"

    def setup(self):
        super().setup()
        self.do(Meter(), "git", "lfs", "install", "--local")
        self.do(Meter(), "git", "lfs", "track", "*.mp4", "*.mov")


class Restic(Tool):
    name, program = "restic", "restic"

    def setup(self):
        self.do(Meter(), "restic", "-q", "-r", self.store, "init")

    def keep(self, meter):
        self.do(meter, "restic", "-q", "-r", self.store, "backup", ".")

    keep_again = keep

    def restore(self, meter, out):
        self.do(meter, "restic", "-q", "-r", self.store, "restore", "latest", "--target", out)


class Borg(Tool):
    name, program = "borg", "borg"

    def setup(self):
        self.do(Meter(), "borg", "init", "-e", "none", self.store)

    def keep(self, meter):
        self.count += 1
        self.do(meter, "borg", "create", f"{self.store}::a{self.count}", ".")

    keep_again = keep

    def restore(self, meter, out):
        os.makedirs(out)
        self.do(meter, "borg", "extract", f"{self.store}::a{self.count}", cwd=out)


class Casync(Tool):
    name, program = "casync", "casync"

    def keep(self, meter):
        os.makedirs(self.store, exist_ok=True)
        self.do(meter, "casync", "make", f"--store={self.store}/s", f"{self.store}/x.caidx", self.tree)

    keep_again = keep

    def restore(self, meter, out):
        self.do(meter, "casync", "extract", f"--store={self.store}/s", f"{self.store}/x.caidx", out)


def size(paths):
    total = 0
    for path in paths:
        for folder, _, names in os.walk(path):
            total += sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for name in names)
    return total


def make_media(folder, mib):
    seconds = max(2, mib * 8 * 1.048576 / 200)
    source = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-f", "lavfi", "-i",
              "testsrc2=s=1920x1080:r=24,noise=alls={}:allf=t+u", "-f", "lavfi", "-i",
              "anoisesrc=c=pink:r=48000:a=0.3,aformat=channel_layouts=stereo", "-t", str(seconds)]
    kinds = {
        "h264.mp4": (60, ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "200M", "-minrate", "200M",
                          "-maxrate", "200M", "-bufsize", "200M", "-c:a", "aac"]),
        "prores.mov": (12, ["-c:v", "prores_ks", "-profile:v", "3", "-vendor", "apl0", "-pix_fmt",
                            "yuv422p10le", "-c:a", "pcm_s24le"])}
    made = []
    for name, (noise, coding) in kinds.items():
        made.append(os.path.join(folder, name))
        subprocess.run([word.format(noise) for word in source] + coding + [made[-1]], check=True)
    return made


def put_media(files, folder):
    os.makedirs(folder)
    for path in files:
        shutil.copy(path, folder)


def make_documents(folder, count):
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(2000)]
    text = lambda most: " ".join(rng.choices(words, k=rng.randint(4, most)))
    for number in range(count):
        title = os.path.join(folder, f"{number // 1000:04d}", f"tt{number // 10:07d}")
        os.makedirs(title, exist_ok=True)
        document = {"id": f"tt{number:07d}", "rev": rng.randint(1, 40), "uuid": f"{rng.getrandbits(128):032x}",
                    "title": {"en": text(6)}, "synopsis": text(200), "genres": rng.sample(words, 3),
                    "year": rng.randint(1950, 2026)}
        with open(os.path.join(title, f"{number % 10}.json"), "w", encoding="utf-8") as out:
            json.dump(document, out, indent=1, sort_keys=True)


def edit(path):
    with open(path, encoding="utf-8") as source:
        document = json.load(source)
    document["rev"] += 1
    with open(path, "w", encoding="utf-8") as out:
        json.dump(document, out, indent=1, sort_keys=True)


class Rows:
    """What was measured: for each tool and step of a table, wall and processor seconds and KiB of memory."""

    def __init__(self, path):
        self.path, self.all = path, []
        if path and os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                self.all = [json.loads(line) for line in lines]

    def add(self, table, tool, step, value):
        self.all.append([table, tool, step, value])
        if self.path:
            with open(self.path, "a", encoding="utf-8") as out:
                out.write(json.dumps(self.all[-1]) + "\n")

    def of(self, table):
        rows = {}
        for name, tool, step, value in self.all:
            if name == table:
                rows.setdefault((tool, step), []).append(value)
        return rows


def measure(tools, corpus, work, runs, media, into, restore=True):
    logical = sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(corpus) for name in names)
    files = sum(len(names) for _, _, names in os.walk(corpus))
    for run in range(runs):
        # cp first, the rest in another order each time.
        order = tools[:1] + random.sample(tools[1:], len(tools) - 1)
        for tool in order:
            root = tempfile.mkdtemp(prefix=f"{tool.name}-", dir=work)
            kept = tool(root)
            shutil.copytree(corpus, os.path.join(kept.tree, "corpus"))
            before = size(kept.held())

            def step(name, action, *args):
                if media:
                    drop_cache()
                else:
                    os.sync()
                meter = Meter()
                action(meter, *args)
                meter.barrier(work)
                into(tool.name, name, (meter.wall, meter.cpu, meter.rss))

            step("ingest", kept.keep)
            into(tool.name, "stored", (size(kept.held()) - before) / logical)
            step("again", kept.keep_again)
            if restore:
                step("restore", kept.restore, os.path.join(root, "out"))
            if not media and hasattr(kept, "branch"):
                paths = sorted(os.path.join(f, n) for f, _, names in os.walk(os.path.join(kept.tree, "corpus")) for n in names)
                edit(paths[7])
                step("one_scanned", kept.one_scanned, paths[7])
                edit(paths[8])
                step("one_named", kept.one_named, paths[8])
                for _ in range(5):
                    step("branch", kept.branch)
                for path in paths[::max(1, len(paths) // 10)][:10]:
                    edit(path)
                kept.one_scanned(Meter(), None)
                for _ in range(5):
                    step("diff", kept.diff)
            shutil.rmtree(root)
            print(f"run {run + 1}: {tool.name} done", file=sys.stderr)
    for name, value in (("bytes", logical), ("files", files)):
        into("corpus", name, value)


def median(rows, tool, step, at):
    values = rows.get((tool, step))
    return statistics.median(value[at] for value in values) if values else None


def media_table(tools, rows, logical):
    lines = ["| | ingest, x cp | CPU s/GiB | MiB | unchanged again, s | restore, x cp | CPU s/GiB | stored / logical |",
             "|---|---|---|---|---|---|---|---|"]
    gib = logical / GIB
    for tool in tools:
        ratio = lambda step: median(rows, "cp", step, 0) / median(rows, tool.name, step, 0)
        lines.append("| {} | {:.2f} | {:.1f} | {:.0f} | {:.2f} | {:.2f} | {:.1f} | {:.3f} |".format(
            tool.name, ratio("ingest"), median(rows, tool.name, "ingest", 1) / gib,
            median(rows, tool.name, "ingest", 2) / 1024, median(rows, tool.name, "again", 0), ratio("restore"),
            median(rows, tool.name, "restore", 1) / gib, statistics.median(rows[(tool.name, "stored")])))
    return lines


def document_table(tools, rows):
    lines = ["| | ingest, s | CPU s | MiB | again, s | restore, s | stored / logical | commit 1, scan, ms | path given, ms | branch, ms | diff of 10, ms |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    for tool in tools:
        seconds = lambda step: "–" if median(rows, tool.name, step, 0) is None else f"{median(rows, tool.name, step, 0):.2f}"
        ms = lambda step: "–" if median(rows, tool.name, step, 0) is None else f"{median(rows, tool.name, step, 0) * 1000:.0f}"
        lines.append("| {} | {:.2f} | {:.2f} | {:.0f} | {:.2f} | {} | {:.2f} | {} | {} | {} | {} |".format(
            tool.name, median(rows, tool.name, "ingest", 0), median(rows, tool.name, "ingest", 1),
            median(rows, tool.name, "ingest", 2) / 1024, median(rows, tool.name, "again", 0),
            seconds("restore"), statistics.median(rows[(tool.name, "stored")]),
            ms("one_scanned"), ms("one_named"), ms("branch"), ms("diff")))
    return lines


def version(tool):
    flag = ["version"] if tool.name in ("ottvc", "restic") else ["--version"]
    told = subprocess.run([tool.program, *flag], capture_output=True, text=True, check=False).stdout
    return (told.splitlines() or ["?"])[0].split(" compiled")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ottvc")
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--documents", type=int, default=20000)
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", help="only these, with cp and ottvc; all that are installed by default")
    parser.add_argument("--media", action="append", default=[])
    parser.add_argument("--part", choices=["media", "documents"], help="only this table; both by default")
    parser.add_argument("--rows", help="keep measurements here, and count those that are there")
    parser.add_argument("--work")
    parser.add_argument("--write")
    options = parser.parse_args()
    Ottvc.program = os.path.abspath(options.ottvc)
    tools = [tool for tool in (Cp, Ottvc, Git, GitLfs, Restic, Borg, Casync) if shutil.which(tool.program)]
    if options.peers:
        tools = [tool for tool in tools if tool in (Cp, Ottvc) or tool.name in options.peers.split(",")]
    # git keeps media as its users would: with git-lfs.
    with_media = [tool for tool in tools if tool is not Git]
    with_documents = [tool for tool in tools if tool is not GitLfs]
    few = [tool for tool in with_documents if tool in (Ottvc, Git)]
    rows = Rows(options.rows)
    into = lambda table: lambda *measured: rows.add(table, *measured)
    work = tempfile.mkdtemp(prefix="ottvc-bench-", dir=options.work)
    try:
        media, documents = os.path.join(work, "media"), os.path.join(work, "documents")
        dropped = drop_cache()
        if options.runs and options.part != "documents":
            put_media(options.media or make_media(work, options.mib), media)
            measure(with_media, media, work, options.runs, True, into("media"))
        if options.runs and options.part != "media":
            make_documents(documents, options.documents)
            measure(with_documents, documents, work, options.runs, False, into("documents"), options.documents <= 20000)
            shutil.rmtree(documents)
        if options.many:
            make_documents(documents, options.many)
            measure(few, documents, work, 1, False, into("many"), restore=False)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    with open("/proc/cpuinfo", encoding="utf-8") as facts:
        cpu = next((line.split(":")[1].strip() for line in facts if line.startswith("model name")), "?")
    page = [f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} x {cpu}, {os.uname().sysname} {os.uname().release}; "
            f"page cache {'dropped' if dropped else 'not dropped'} before media steps.",
            "Versions: " + "; ".join(f"{tool.name} {version(tool)}" for tool in tools) + "."]
    for table, keep, say in (("media", with_media, "A master with sound in each of {files} files, {mib} MiB; medians of {runs}. x cp: 1 is as fast as a plain copy; more is better."),
                             ("documents", with_documents, "{files:,} JSON documents, {mib} MiB; medians of {runs}; less is better."),
                             ("many", few, "{files:,} JSON documents, {mib} MiB; medians of {runs}.")):
        found = rows.of(table)
        keep = [tool for tool in keep if (tool.name, "ingest") in found]
        if not keep:
            continue
        logical, files = found[("corpus", "bytes")][-1], found[("corpus", "files")][-1]
        lines = media_table(keep, found, logical) if table == "media" else document_table(keep, found)
        counted = min(len(found[(tool.name, "ingest")]) for tool in keep)
        page += ["", say.format(files=files, mib=round(logical / (1 << 20)), runs=counted), "", *lines]
    print("\n".join(page))
    if options.write:
        with open(options.write, encoding="utf-8") as source:
            head, rest = source.read().split("<!-- begin tables -->", 1)
        tail = rest.split("<!-- end tables -->", 1)[1]
        with open(options.write, "w", encoding="utf-8") as out:
            out.write(head + "<!-- begin tables -->\n" + "\n".join(page) + "\n<!-- end tables -->" + tail)


if __name__ == "__main__":
    main()
