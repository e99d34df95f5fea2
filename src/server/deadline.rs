//! How long a call may take: the server's limit, or less when the client says so.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::refusal;
use crate::gateway;

/// How long a call may take, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    limit: Duration,
    setting: &'static str,
}

impl Deadline {
    /// The client's timeout where it is shorter, else `limit`.
    pub(crate) fn of(headers: &HeaderMap, limit: Duration) -> Result<Deadline, Status> {
        Ok(match gateway::timeout(headers)? {
            Some(timeout) if timeout < limit => Deadline { limit: timeout, setting: "grpc-timeout" },
            _ => Deadline { limit, setting: "request-deadline" },
        })
    }

    /// Runs `work` until the time since `started` is over; then it is dropped where it stands. When it is over already, the
    /// work is not begun: whoever has given up must not find it done.
    pub(crate) async fn within<T>(
        self,
        started: Instant,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let left = self.limit.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(self.exceeded());
        }
        tokio::time::timeout(left, work).await.unwrap_or_else(|_| Err(self.exceeded()))
    }

    fn exceeded(self) -> Status {
        let limit = format!("{:?}", self.limit);
        let text = "the call took too long";
        refusal::over(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", text, self.setting, limit)
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
            assert_eq!(Deadline::of(&headers, limit).unwrap().limit, expected, "{text}");
        }
        assert_eq!(Deadline::of(&HeaderMap::new(), limit).unwrap().limit, limit);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_too_long_is_dropped() {
        let started = Instant::now();
        let never = std::future::pending::<Result<(), Status>>();
        let deadline = Deadline { limit: Duration::from_secs(7), setting: "request-deadline" };
        let status = deadline.within(started, never).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(started.elapsed(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_not_begun_when_the_time_is_over() {
        let started = Instant::now();
        tokio::time::advance(Duration::from_secs(7)).await;
        for limit in [Duration::ZERO, Duration::from_secs(7)] {
            let deadline = Deadline { limit, setting: "grpc-timeout" };
            let work = async { panic!("the work is begun") };
            let status = deadline.within::<()>(started, work).await.unwrap_err();
            assert_eq!(status.code(), Code::DeadlineExceeded);
        }
        // What is left is counted from the beginning of the call.
        let deadline = Deadline { limit: Duration::from_secs(10), setting: "grpc-timeout" };
        let never = std::future::pending::<Result<(), Status>>();
        assert!(deadline.within(started, never).await.is_err());
        assert_eq!(started.elapsed(), Duration::from_secs(10));
    }
}
