//! The system calls by which a command changes files, as `strace` sees them, with all their bytes.
//!
//! Calls stand in the order in which they ended: what a call did is certain only then. When it began is
//! kept too, since a sync answers for no more than was written before it began.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// What is asked of the tracer: all calls that change files, that give out the numbers of open files,
/// or that could change files in a way that no model of ours knows.
const TRACED: &str = "open,openat,openat2,creat,close,dup,dup2,dup3,fcntl,lseek,\
    write,pwrite64,writev,pwritev,pwritev2,truncate,ftruncate,fallocate,\
    rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,\
    mknod,mknodat,fsync,fdatasync,sync,syncfs,sync_file_range,msync,mmap,\
    copy_file_range,sendfile,splice,vmsplice,io_submit,io_uring_setup,process_vm_writev,chdir,fchdir";

/// One argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A number, a flag, a structure: as it was printed.
    Word(String),
    /// Bytes of a path or of a buffer.
    Bytes(Vec<u8>),
    /// The buffers of a vector of them, one after the other.
    Vector(Vec<u8>),
}

/// A call that ended without an error.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// The thread that made it.
    pub thread: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// What it returned.
    pub returned: i64,
    /// How many of the calls listed before it had ended when it began.
    pub began_after: usize,
}

impl Call {
    /// An argument that was printed as it is.
    ///
    /// # Panics
    /// If there is none of the kind.
    pub fn word(&self, at: usize) -> &str {
        match self.arguments.get(at) {
            Some(Argument::Word(word)) => word,
            _ => panic!("no word at {at}: {self:?}"),
        }
    }

    /// A number among the arguments.
    ///
    /// # Panics
    /// If there is none.
    pub fn number<T: std::str::FromStr>(&self, at: usize) -> T {
        self.word(at).parse().unwrap_or_else(|_| panic!("no number at {at}: {self:?}"))
    }

    /// The bytes of a path or of buffers.
    ///
    /// # Panics
    /// If there are none.
    pub fn bytes(&self, at: usize) -> &[u8] {
        match self.arguments.get(at) {
            Some(Argument::Bytes(bytes) | Argument::Vector(bytes)) => bytes,
            _ => panic!("no bytes at {at}: {self:?}"),
        }
    }
}

/// Whether commands can be traced here; says so, loudly, where they cannot.
///
/// # Panics
/// If the tracer is missing where everything must be checked (`CI=true`).
pub fn is_here() -> bool {
    let probe = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    let why = match probe {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => {
            let must = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(
                !must || cfg!(not(target_os = "linux")),
                "tests/setup.sh crash; strace: {error}"
            );
            error.to_string()
        }
    };
    eprintln!(
        "\n*** nothing can be traced here, so that this WAS NOT CHECKED; strace: {why} ***\n"
    );
    false
}

/// Runs a command to its end and returns how it ended and its calls. `log` is where the tracer writes.
///
/// # Panics
/// If it cannot be traced, or said something that is not understood.
pub fn run(command: &Command, log: &Path) -> (Output, Vec<Call>) {
    let options =
        ["-f", "-qq", "-xx", "-s", "67108864", "--seccomp-bpf", "-e", &format!("trace={TRACED}")];
    let output = under_strace(command, &options, log);
    let said = String::from_utf8_lossy(&output.stderr);
    let text = fs::read_to_string(log).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output, parse(&text))
}

/// Runs a command under `strace` with these options.
///
/// # Panics
/// If it cannot be started.
pub fn under_strace(command: &Command, options: &[&str], log: &Path) -> Output {
    let mut traced = Command::new("strace");
    traced.args(options).arg("-o").arg(log).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        traced.current_dir(folder);
    }
    // A command does not tell whether it was given only these; those of a story are.
    traced.env_clear();
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced.output().unwrap_or_else(|error| panic!("strace: {error}"))
}

/// Reads what the tracer wrote.
fn parse(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    // What a thread was in the middle of when another was printed: the text, and when it began.
    let mut waiting: HashMap<&str, (&str, usize)> = HashMap::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let passed = ["+++", "---", "<... close resumed>"];
        if passed.iter().any(|start| rest.starts_with(start)) {
            continue;
        }
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            // The number is free from here on, and may be given out before the call is seen to end.
            if start.starts_with("close(") {
                calls.extend(call(thread, &format!("{}) = 0", start.trim_end()), calls.len()));
                continue;
            }
            waiting.insert(thread, (start, calls.len()));
        } else if rest.starts_with("<... ") {
            let (start, began) = waiting.remove(thread).unwrap_or_else(|| panic!("{line}"));
            let (_, end) = rest.split_once("resumed>").unwrap_or_else(|| panic!("{line}"));
            calls.extend(call(thread, &format!("{start}{end}"), began));
        } else {
            calls.extend(call(thread, rest, calls.len()));
        }
    }
    calls
}

/// Reads one call; `None` if it failed, and so changed nothing.
fn call(thread: &str, text: &str, began_after: usize) -> Option<Call> {
    let (start, returned) =
        text.rsplit_once(" = ").unwrap_or_else(|| panic!("no result: {}", brief(text)));
    let returned = returned.split_whitespace().next().unwrap_or_default();
    // A call that the end of its process cut short has no result; it had none on a file of ours.
    if returned == "?" || returned.starts_with('-') {
        return None;
    }
    let number = match returned.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => returned.parse(),
    };
    let returned = number.unwrap_or_else(|_| panic!("{returned} in {}", brief(text)));
    let (name, inner) = start.split_once('(').unwrap_or_else(|| panic!("{}", brief(text)));
    let inner = inner.trim_end().strip_suffix(')').unwrap_or_else(|| panic!("{}", brief(text)));
    let arguments = split(inner).into_iter().map(argument).collect();
    Some(Call { name: name.into(), thread: thread.into(), arguments, returned, began_after })
}

fn brief(text: &str) -> String {
    text.chars().take(400).collect()
}

/// Cuts arguments apart. Strings are in hexadecimal, so that what separates is never in one.
fn split(inner: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_i32, 0);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.extend(inner.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(inner.get(from..).filter(|part| !part.trim().is_empty()));
    parts
}

fn argument(text: &str) -> Argument {
    let text = text.trim();
    if text.starts_with('"') {
        return Argument::Bytes(unhex(text));
    }
    if text.starts_with("[{iov_base=") {
        let mut strings = text.split('"');
        let mut bytes = Vec::new();
        while let (Some(_), Some(string)) = (strings.next(), strings.next()) {
            bytes.extend(unhex(&format!("\"{string}\"")));
        }
        return Argument::Vector(bytes);
    }
    Argument::Word(text.to_owned())
}

/// Reads `"\x61\x62"`.
fn unhex(text: &str) -> Vec<u8> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let inner = inner.unwrap_or_else(|| panic!("bytes left out: {}", brief(text)));
    let pairs = inner.split("\\x").skip(1);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{}", brief(text))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_threads_are_put_together_in_the_order_they_ended() {
        let calls = parse(concat!(
            "7 openat(AT_FDCWD, \"\\x61\", O_WRONLY|O_CREAT, 0666) = 3\n",
            "7 fdatasync(3 <unfinished ...>\n",
            "8 pwrite64(3, \"\\x62\\x2c\", 2, 9) = 2\n",
            "7 <... fdatasync resumed>)          = 0\n",
            "8 writev(3, [{iov_base=\"\\x63\", iov_len=1}, {iov_base=\"\\x64\", iov_len=1}], 2) = 2\n",
            "8 mkdir(\"\\x65\", 0755)              = -1 EEXIST (File exists)\n",
            "7 close(3 <unfinished ...>\n",
            "8 openat(AT_FDCWD, \"\\x66\", O_RDONLY) = 3\n",
            "7 <... close resumed>)              = 0\n",
            "8 +++ exited with 0 +++\n",
        ));
        let names: Vec<_> =
            calls.iter().map(|call| (call.name.as_str(), call.began_after)).collect();
        assert_eq!(
            names,
            [
                ("openat", 0),
                ("pwrite64", 1),
                ("fdatasync", 1),
                ("writev", 3),
                ("close", 4),
                ("openat", 5)
            ]
        );
        assert_eq!((calls[1].bytes(1), calls[1].number::<u64>(3)), (&b"b,"[..], 9));
        assert_eq!(calls[3].bytes(1), b"cd");
    }
}
