"""From the scores of good frames to a threshold with a stated rate of false alarms."""

from calibration.statistics.dependence import autocorrelation_time
from calibration.statistics.episodes import EpisodeCounts, Values, episode_starts
from calibration.statistics.exceedances import Exceedances
from calibration.statistics.rule import AlarmRule, Rule
from calibration.statistics.stated_rates import StatedRates, cost_of_leaving_out, promise
from calibration.statistics.suspects import MOST_BAD, MOST_SUSPECTED, doubtful_level, most_kept_out, suspected_frames
from calibration.statistics.threshold import (
    CONFORMAL,
    LEAST_FRAMES,
    Threshold,
    alarm_rate,
    calibrate,
    counted_rate,
    counting_left_out,
    shortage,
    threshold_for,
    upper_rate,
)

__all__ = [
    "CONFORMAL",
    "LEAST_FRAMES",
    "MOST_BAD",
    "MOST_SUSPECTED",
    "AlarmRule",
    "EpisodeCounts",
    "Exceedances",
    "Rule",
    "StatedRates",
    "Threshold",
    "Values",
    "alarm_rate",
    "autocorrelation_time",
    "calibrate",
    "cost_of_leaving_out",
    "counted_rate",
    "counting_left_out",
    "doubtful_level",
    "episode_starts",
    "most_kept_out",
    "promise",
    "shortage",
    "suspected_frames",
    "threshold_for",
    "upper_rate",
]
