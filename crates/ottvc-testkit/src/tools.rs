//! Programs that nobody here wrote, which check what we make.

use std::path::PathBuf;

/// A Python tool that `tests/setup.sh` installs, or that is on the path.
#[derive(Clone, Debug)]
pub struct PythonTool {
    /// The folder of its programs.
    pub programs: PathBuf,
    /// Its packages, for `PYTHONPATH`; `None` where the system has it.
    pub packages: Option<PathBuf>,
}

/// Finds a Python tool by the name of its program.
///
/// # Panics
/// If it is not here where `CI` is `true`: what lands must have been checked. Elsewhere it says on standard error
/// that `unchecked` was not checked, and returns `None`.
pub fn python_tool(program: &str, unchecked: &str) -> Option<PythonTool> {
    let found = on_path(program).or_else(|| installed(program));
    if found.is_none() {
        let ci = std::env::var("CI").is_ok_and(|it| it == "true");
        assert!(!ci, "{program} is not here: run tests/setup.sh lint");
        eprintln!("\n*** {program} is not here: {unchecked} WERE NOT CHECKED BY IT ***\n");
    }
    found
}

fn on_path(program: &str) -> Option<PythonTool> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&path).find(|it| it.join(program).is_file())?;
    Some(PythonTool { programs, packages: None })
}

fn installed(program: &str) -> Option<PythonTool> {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    let cache = var("CACHE_DIR").or_else(|| cache.map(|cache| cache.join("ottvc")))?;
    let tools = std::fs::read_dir(cache.join("tools")).ok()?;
    let mut tools = tools.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let prefix = format!("{program}-");
    let tool = tools.find(|tool| {
        let name = tool.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.strip_prefix(&prefix).is_some_and(|version| {
            version.starts_with(|it: char| it.is_ascii_digit()) && !name.ends_with(".partial")
        })
    })?;
    Some(PythonTool { programs: tool.join("bin"), packages: Some(tool) })
}
