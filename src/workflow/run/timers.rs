//! What time does: escalations, and the ends of waits. The machine has no clock; it says when it wants to be woken.

use super::event::Effect;
use super::machine::Run;
use super::state::{Outcome, StageState, State};
use crate::workflow::{EscalationTarget, Wait, Work};
use chrono::{DateTime, LocalResult, NaiveTime, TimeDelta, TimeZone, Utc};
use std::time::Duration;

/// The last time that is still reckoned with.
const YEAR_MAX: i32 = 9999;
/// By how much a clock jumps at most within a day; one that leaves out more has left out the day.
const JUMP_MAX_HOURS: i64 = 3;

impl State {
    /// When time alone moves the task on; `None` = never.
    pub fn due(&self) -> Option<DateTime<Utc>> {
        let stage = self.current()?;
        if stage.left_at.is_some() {
            return None;
        }
        let escalates = stage.escalates.as_ref().filter(|escalates| !escalates.done).map(|one| one.at);
        match (escalates, stage.due_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl Run<'_, '_> {
    /// Lets everything happen that is due until `at`, each at its own time. Ends: a wait takes the task on, and what takes the
    /// task elsewhere is counted.
    pub(super) fn fire_due(&mut self, at: DateTime<Utc>) {
        while let Some(due) = self.state.due().filter(|due| *due <= at) {
            self.state.now = due.max(self.state.now);
            self.fire();
        }
    }

    fn fire(&mut self) {
        match self.waiting_stage().map(|stage| &stage.work) {
            Some(Work::Wait(wait)) => self.wait_over(wait),
            Some(Work::Approval(approval)) => match &approval.escalation {
                Some(escalation) => self.escalate(&escalation.to, &escalation.comment),
                None => self.forget_timers(),
            },
            _ => self.forget_timers(),
        }
    }

    fn wait_over(&mut self, wait: &Wait) {
        self.forget_timers();
        self.wait_is_over(wait);
    }

    /// So that a timer fires once, whatever it does.
    fn forget_timers(&mut self) {
        if let Some(record) = self.record() {
            record.due_at = None;
            if let Some(escalates) = &mut record.escalates {
                escalates.done = true;
            }
        }
    }

    fn escalate(&mut self, to: &EscalationTarget, comment: &str) {
        self.forget_timers();
        let stage = self.number();
        let words = self.record().and_then(|record| record.escalates.as_ref().map(|one| one.to.clone()));
        self.effects.push(Effect::Escalated { stage, to: words.unwrap_or_default() });
        self.comment(comment);
        match to {
            EscalationTarget::ReplacePolicy(policy) => {
                self.leave(
                    StageState::Abandoned,
                    "",
                    "nobody answered in time, and another policy took over",
                );
                self.replace(policy);
            }
            EscalationTarget::Reassign(users) => self.escalate_to(users),
            EscalationTarget::CancelTask => {
                let why = "nobody answered in time".to_owned();
                self.leave(StageState::Abandoned, "", &why);
                self.end(Outcome::Cancelled { why });
            }
            EscalationTarget::SkipStage => {
                self.leave(StageState::Skipped, "", "nobody answered in time");
                self.advance();
            }
        }
    }
}

/// `None` if that is after all time.
pub(super) fn after(now: DateTime<Utc>, lasting: Duration) -> Option<DateTime<Utc>> {
    use chrono::Datelike;
    let then = now.checked_add_signed(TimeDelta::from_std(lasting).ok()?)?;
    (then.year() <= YEAR_MAX).then_some(then)
}

/// When the clock of a zone next shows this time. On a day on which it jumps over it, as many full hours later as it takes;
/// where it shows it twice, the first time.
pub(super) fn next_time_of_day(
    now: DateTime<Utc>,
    hour: u32,
    minute: u32,
    zone: chrono_tz::Tz,
) -> Option<DateTime<Utc>> {
    let time = NaiveTime::from_hms_opt(hour, minute, 0)?;
    let today = now.with_timezone(&zone).date_naive();
    (0..3).find_map(|days| {
        let local = today.checked_add_days(chrono::Days::new(days))?.and_time(time);
        let found = match zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at,
            LocalResult::None => {
                let later = |hours| zone.from_local_datetime(&(local + TimeDelta::hours(hours))).earliest();
                (1..=JUMP_MAX_HOURS).find_map(later)?
            }
        };
        let found = found.with_timezone(&Utc);
        (found > now).then_some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_jump_still_show_a_time() {
        let berlin = chrono_tz::Europe::Berlin;
        for (now, hour, wanted) in [
            ("2026-11-26T08:00:00Z", 9, "2026-11-27T08:00:00Z"),
            ("2026-11-26T07:59:59Z", 9, "2026-11-26T08:00:00Z"),
            // The clock jumps from 2 to 3.
            ("2026-03-29T00:00:00Z", 2, "2026-03-29T01:00:00Z"),
            // It shows 2 twice.
            ("2026-10-25T00:00:00Z", 2, "2026-10-26T01:00:00Z"),
            ("2026-10-24T23:59:00Z", 2, "2026-10-25T00:00:00Z"),
        ] {
            let now: DateTime<Utc> = now.parse().unwrap();
            let wanted: DateTime<Utc> = wanted.parse().unwrap();
            assert_eq!(next_time_of_day(now, hour, 0, berlin), Some(wanted), "{now}");
        }
        // At a station in Antarctica it jumps from 1 to 3.
        let troll = chrono_tz::Antarctica::Troll;
        let now: DateTime<Utc> = "2026-03-28T12:00:00Z".parse().unwrap();
        let wanted: DateTime<Utc> = "2026-03-29T01:00:00Z".parse().unwrap();
        assert_eq!(next_time_of_day(now, 1, 0, troll), Some(wanted));
    }
}
