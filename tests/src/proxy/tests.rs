#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Fault, FaultProxy, Faults, Rates, Service};

const BODY: &str = "0123456789";

/// An upstream that counts its requests and answers all alike.
async fn upstream() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let effects = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&effects);
    // Ends with the test's runtime.
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut head = [0; 4096];
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}",
                        BODY.len()
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (format!("http://{addr}"), effects)
}

/// Everything that comes back on a connection of its own.
async fn ask(proxy: &FaultProxy, line: &str, headers: &str) -> std::io::Result<String> {
    let address = proxy.endpoint();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await?;
    let request = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const SQS: &str = "X-Amz-Target: AmazonSQS.DeleteMessage\r\n";

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let (address, effects) = upstream().await;
    let proxy = FaultProxy::start(&address).await;
    let effects = || effects.load(Ordering::SeqCst);

    let answer = ask(&proxy, "GET /bucket/key", "").await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with(BODY),
        "{answer}"
    );
    assert_eq!(effects(), 1);

    proxy.fail_next(|call| call.service == Service::S3, Fault::Busy);
    let answer = ask(&proxy, "PUT /bucket/key", "").await.unwrap();
    assert!(
        answer.contains("503") && answer.contains("<Code>SlowDown</Code>"),
        "{answer}"
    );
    proxy.fail_next(|call| call.operation == "DeleteMessage", Fault::Busy);
    let answer = ask(&proxy, "POST /", SQS).await.unwrap();
    assert!(
        answer.contains("400") && answer.contains("#ThrottlingException"),
        "{answer}"
    );
    proxy.fail_next(|_| true, Fault::Reset);
    let answer = ask(&proxy, "POST /", SQS).await;
    assert_eq!(
        answer.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    assert_eq!(effects(), 1, "all before the effect");

    proxy.fail_next(|_| true, Fault::Lost);
    let answer = ask(&proxy, "POST /", SQS).await;
    assert_eq!(
        answer.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    assert_eq!(effects(), 2, "the effect happened");

    proxy.fail_next(|_| true, Fault::Truncated);
    let answer = ask(&proxy, "GET /bucket/key", "").await.unwrap();
    assert!(
        answer.contains("content-length: 10") && answer.ends_with("01234"),
        "{answer}"
    );
    let counts = proxy.counts();
    assert_eq!((counts.requests, counts.faults()), (6, 5), "{counts:?}");
    assert_eq!(proxy.waiting(), 0);
}

#[tokio::test]
async fn calls_of_auto_scaling_are_told_by_their_signature_and_named_by_their_body() {
    let (address, effects) = upstream().await;
    let proxy = FaultProxy::start(&address).await;
    let body = "Action=SetDesiredCapacity&AutoScalingGroupName=a%2Fb&Version=2011-01-01";
    let call = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/r/autoscaling/aws4_request, Signature=0\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for (fault, status, code) in [
        (Fault::Denied, "403", "<Code>AccessDenied</Code>"),
        (Fault::Busy, "400", "<Code>Throttling</Code>"),
    ] {
        let of_group = |call: &super::Call| call.form["AutoScalingGroupName"] == "a/b";
        proxy.fail_next(of_group, fault);
        let answer = ask(&proxy, "POST /", &call).await.unwrap();
        assert!(answer.contains(status) && answer.contains(code), "{answer}");
    }
    let counts = proxy.counts();
    assert_eq!(counts.asked(Service::AutoScaling, "SetDesiredCapacity"), 2);
    assert_eq!((counts.denied, counts.faults()), (1, 2));
    assert_eq!(effects.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_proxy_is_led_to_another_upstream() {
    let (one, before) = upstream().await;
    let (other, after) = upstream().await;
    let proxy = FaultProxy::start(&one).await;
    ask(&proxy, "GET /", "").await.unwrap();
    proxy.lead_to(&other);
    ask(&proxy, "GET /", "").await.unwrap();
    let counts = [before, after].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts, [1, 1]);
}

#[tokio::test]
async fn puts_are_counted_by_what_the_upstream_made_of_them() {
    let (address, _) = upstream().await;
    let proxy = FaultProxy::start(&address).await;
    // An overwriting put that is repeated because its answer was lost.
    proxy.fail_next(|_| true, Fault::Lost);
    ask(&proxy, "PUT /bucket/over?x-id=PutObject", "")
        .await
        .unwrap_err();
    ask(&proxy, "PUT /bucket/over?x-id=PutObject", "")
        .await
        .unwrap();
    proxy.fail_next(|_| true, Fault::Busy);
    for line in [
        "PUT /bucket/once",
        "PUT /bucket/once",
        "PUT /bucket/parts?partNumber=1&uploadId=a",
        "GET /bucket/read",
    ] {
        ask(&proxy, line, "").await.unwrap();
    }
    let puts = proxy.puts();
    let expected = [("/bucket/once", 1), ("/bucket/over", 2)];
    assert_eq!(puts.of(|_| true), expected);
    assert_eq!(puts.of(|path| path.ends_with("once")), expected[..1]);
    assert_eq!(puts.uncounted(), 0);
}

#[tokio::test]
async fn a_cut_resets_and_silence_holds_back_until_mended() {
    let (address, effects) = upstream().await;
    let proxy = FaultProxy::start(&address).await;
    proxy.cut();
    ask(&proxy, "GET /", "").await.unwrap_err();
    assert_eq!(effects.load(Ordering::SeqCst), 0);
    assert!(proxy.counts().cut > 0);
    proxy.mend();
    ask(&proxy, "GET /", "").await.unwrap();

    proxy.hush();
    let asked = ask(&proxy, "GET /", "");
    tokio::pin!(asked);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut asked).await;
    assert!(early.is_err(), "{early:?}");
    proxy.mend();
    assert!(asked.await.unwrap().ends_with(BODY));
}

#[tokio::test]
async fn rates_are_kept_and_a_seed_repeats_them() {
    let (address, _) = upstream().await;
    let proxy = FaultProxy::start(&address).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        proxy.set(Faults {
            seed: 5,
            s3: Rates {
                lost: 0.3,
                ..Rates::default()
            },
            ..Faults::default()
        });
        let mut lost = Vec::new();
        for _ in 0..100 {
            lost.push(ask(&proxy, "GET /a", "").await.is_err());
            assert!(ask(&proxy, "POST /", SQS).await.is_ok(), "of S3 alone");
        }
        let count = lost.iter().filter(|lost| **lost).count();
        assert!((15..=45).contains(&count), "{count} of 100");
        seen.push(lost);
    }
    assert_eq!(seen[0], seen[1]);
}
