//! `assize-load` as a process: its exit codes, and what it finds out before it loads anything.

use std::process::{Command, Stdio};

fn assize_load() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assize-load"));
    command.stdout(Stdio::null());
    command
}

#[test]
fn whoever_closes_standard_error_is_told_by_the_exit_code() {
    for (arguments, code) in
        [(["127.0.0.1:9", "--accounts", "0"], 2), (["compare", "not.json", "there.json"], 2)]
    {
        let (reads, writes) = std::io::pipe().expect("a pipe");
        drop(reads);
        let ended = assize_load().args(arguments).stderr(writes).status().expect("it runs");
        assert_eq!(ended.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_of_before_the_load() {
    let folder = tempfile::tempdir().expect("a directory");
    let (report, nowhere) = (folder.path().join("report.json"), folder.path().join("nowhere/latency"));
    let kept = folder.path().join("kept.svg");
    std::fs::write(&kept, "of another run").expect("a file");
    for option in ["--hgrm", "--interval-log"] {
        let mut command = assize_load();
        command.arg("127.0.0.1:9").arg("--json").arg(&report).arg("--svg").arg(&kept);
        let ended = command.arg(option).arg(&nowhere).output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let told = format!("assize-load: {} cannot be written: ", nowhere.display());
        // Before it says anything of a load.
        assert!(said.starts_with(&told), "{option}: {said}");
        assert_eq!(ended.status.code(), Some(1), "{option}: {said}");
        assert!(!report.exists(), "{option}: an empty report was left");
        assert_eq!(std::fs::read(&kept).expect("it is there"), b"of another run");
    }
}
