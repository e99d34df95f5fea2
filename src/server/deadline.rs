//! How long a call may take: the server's limit, or less when the client says so.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

/// gRPC's own header; HTTP header names know no case, so this is REST's `Grpc-Timeout` too.
const GRPC_TIMEOUT: &str = "grpc-timeout";
/// "PROTOCOL-HTTP2.md": a timeout is at most eight digits and a unit.
const TIMEOUT_MAX_DIGITS: usize = 8;

/// The client's timeout where it is shorter, else `limit`.
pub(crate) fn of(headers: &HeaderMap, limit: Duration) -> Result<Duration, Status> {
    match headers.get(GRPC_TIMEOUT) {
        None => Ok(limit),
        Some(text) => match parse(text.as_bytes()) {
            Some(timeout) => Ok(timeout.min(limit)),
            None => Err(Status::invalid_argument(
                "invalid grpc-timeout: expected at most 8 digits and one of H, M, S, m, u, n",
            )),
        },
    }
}

/// Runs `work` for at most `limit`; then it is dropped where it stands.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Status::deadline_exceeded(format!("the call took longer than {limit:?}"))),
    }
}

fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > TIMEOUT_MAX_DIGITS {
        return None;
    }
    let count = digits.iter().try_fold(0_u64, |count, digit| {
        digit.is_ascii_digit().then(|| count * 10 + u64::from(digit - b'0'))
    })?;
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_as_the_protocol_writes_them() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("0S", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789S", None),
            ("S", None),
            ("10", None),
            ("-1S", None),
            ("1.5S", None),
            ("1s", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_too_long_is_dropped() {
        let started = tokio::time::Instant::now();
        let never = std::future::pending::<Result<(), Status>>();
        let status = within(Duration::from_secs(7), never).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(started.elapsed(), Duration::from_secs(7));
    }
}
