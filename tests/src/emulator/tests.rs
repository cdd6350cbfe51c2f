//! An emulator ends with the process that started it, however that ends.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::Ministack;

/// Not a test: the process of the test below.
#[test]
fn child_process_that_starts_an_emulator() {
    if std::env::var_os("TRAWLER_TEST_EMULATES").is_some() {
        println!("@{}", Ministack::shared().port());
        std::thread::park();
    }
}

#[tokio::test]
async fn an_emulator_ends_with_a_test_process_that_is_killed() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "emulator::tests::child_process_that_starts_an_emulator",
        ])
        .arg("--nocapture")
        .env("TRAWLER_TEST_EMULATES", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port: u16 = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once('@')?.1.parse().ok())
        .expect("the child tells the port");
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(answers());
    child.kill().unwrap();
    child.wait().unwrap();
    crate::until("the emulator is gone", || !answers()).await;
}
