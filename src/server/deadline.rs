//! How long a call may take: the server's limit, or less when the client says so.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

use crate::gateway;

/// The client's timeout where it is shorter, else `limit`.
pub(crate) fn of(headers: &HeaderMap, limit: Duration) -> Result<Duration, Status> {
    Ok(gateway::timeout(headers)?.map_or(limit, |timeout| timeout.min(limit)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_may_shorten_and_not_lengthen() {
        let limit = Duration::from_secs(10);
        for (text, expected) in [("1S", Duration::from_secs(1)), ("0n", Duration::ZERO), ("99999999H", limit)]
        {
            let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
            assert_eq!(of(&headers, limit).unwrap(), expected, "{text}");
        }
        assert_eq!(of(&HeaderMap::new(), limit).unwrap(), limit);
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
