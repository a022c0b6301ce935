/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The constants of the controllers, in one table: what they are called on the command line, their
 * defaults, and how far they may be moved. Gains are stated for a tick of 100 ms, and scaled to the
 * real one where they are used. `weirctl adapt replay --set NAME=VALUE` tries others on a recording.
 */

#ifndef WEIR_ADAPT_GAINS_H
#define WEIR_ADAPT_GAINS_H

#include <stdbool.h>
#include <stddef.h>

/* X(field, name, default, least, most, help) */
#define ADAPT_GAINS(X)                                                                             \
	X(latency, "latency", 0.3, 0.01, 1, "share of a tick's mean in the smoothed first byte")   \
	X(rate, "rate", 0.3, 0.01, 1, "share of a tick's answers in the smoothed rate")            \
	X(tail, "tail", 0.05, 0.001, 1, "share of a window in the learned spread of the tail")     \
	X(weights_out, "weights.out", 3, 1.5, 100, "so many times its pool's latency: an outlier") \
	X(weights_band, "weights.band", 0.3, 0.05, 100, "slower than the pool by so much is slow") \
	X(weights_cut, "weights.cut", 0.1, 0.01, 1,                                                \
		"an outlier keeps at least this of its weight")                                    \
	X(weights_down, "weights.down", 0.5, 0.01, 1, "a slow one keeps at least this")            \
	X(weights_power, "weights.power", 0.5, 0.05, 1, "a slow one: (pool / own) to this power")  \
	X(weights_up, "weights.up", 1.2, 1.001, 4, "factor by which a weight comes back")          \
	X(weights_floor, "weights.floor", 0.005, 0.0001, 1,                                        \
		"least share of the configured weight")                                            \
	X(weights_ceiling, "weights.ceiling", 2, 1, 2, "most times the configured weight")         \
	X(weights_relax, "weights.relax", 0.02, 0, 1, "share of the way from above back to 1")     \
	X(weights_hold, "weights.hold", 1, 0, 60,                                                  \
		"seconds that a relapsed backend waits; doubles")                                  \
	X(eject_after, "eject.after", 5, 2, 1000, "SYNs without an answer that make one dead")     \
	X(eject_silent, "eject.silent", 0.3, 0.1, 60,                                              \
		"seconds without a packet after which three are enough")                           \
	X(eject_first, "eject.first", 1, 0.1, 600, "seconds of the first ejection; they double")   \
	X(eject_most, "eject.most", 60, 1, 3600, "seconds of the longest")                         \
	X(eject_share, "eject.share", 0.5, 0, 1, "at most this share of a pool")                   \
	X(eject_ramp, "eject.ramp", 5, 0, 600, "seconds of the slow start of one that returns")    \
	X(shed_target, "shed.target", 0.9, 0.1, 1, "share of the objective that caps aim at")      \
	X(shed_start, "shed.start", 10, 1, 4096, "least cap before overload has ever been seen")   \
	X(shed_head, "shed.head", 1.6, 1, 100, "until then: so many times the peak served well")   \
	X(shed_cut_least, "shed.cut-least", 0.95, 0.1, 1, "a cut leaves at most this of a cap")    \
	X(shed_cut_most, "shed.cut-most", 0.5, 0.1, 1, "a cut leaves at least this")               \
	X(shed_up, "shed.up", 0.05, 0.001, 4, "growth of a cap that is used and keeps time")       \
	X(shed_up_start, "shed.up-start", 0.25, 0.001, 4, "the same before the first cut")         \
	X(sources_share, "sources.share", 0.85, 0.1, 1,                                            \
		"share of the capacity that is handed out")                                        \
	X(sources_known, "sources.known", 32, 1, 1000, "most that a habit is worth, in shares")    \
	X(sources_red, "sources.red", 4, 1, 100, "so many times its share is red")                 \
	X(sources_patience, "sources.patience", 0.5, 0.1, 60, "seconds in red before the box")     \
	X(sources_box, "sources.box", 10, 1, 600, "seconds of the first time in the box")          \
	X(sources_box_most, "sources.box-most", 300, 1, 86400, "seconds of the longest")           \
	X(sources_calm, "sources.calm", 10, 0.1, 600, "seconds without excess that end policing")  \
	X(sources_busy, "sources.busy", 0.85, 0.1, 1, "share of a worker that is too much")        \
	X(forecast_level, "forecast.level", 0.5, 0.01, 1, "share of a second in the level")        \
	X(forecast_trend, "forecast.trend", 0.3, 0.01, 1, "share of a second in the trend")        \
	X(forecast_damp, "forecast.damp", 0.9, 0.1, 1, "what a second leaves of the trend")        \
	X(forecast_worst, "forecast.worst", 0.5, 0.01, 10, "mean error that switches it off")      \
	X(cores_now, "cores.now", 0.85, 0.1, 1, "share of a core that brings another at once")     \
	X(cores_grow, "cores.grow", 0.7, 0.1, 1, "the same, expected in ten seconds")              \
	X(cores_quiet, "cores.quiet", 0.4, 0.01, 1, "share below which a core is given back")      \
	X(cores_aim, "cores.aim", 0.6, 0.1, 1,                                                     \
		"share that a change of cores aims at, or stays below")                            \
	X(cores_hold, "cores.hold", 30, 0.1, 3600, "seconds of quiet before a core is given back") \
	X(cores_cooldown, "cores.cooldown", 1, 0.1, 600, "seconds between two changes")

struct adapt_gains {
#define X(field, name, preset, least, most, help) double field;
	ADAPT_GAINS(X)
#undef X
};

struct adapt_gain_row {
	const char *name;
	double preset;
	double least;
	double most;
	const char *help;
};

extern const struct adapt_gains adapt_gains_preset;
extern const struct adapt_gain_row adapt_gain_rows[];
extern const size_t adapt_gain_count;

/* Set one by name; false when there is none such, or the value is out of its range. */
bool adapt_gain_set(struct adapt_gains *g, const char *name, double value);

/* A share that is stated for 100 ms, over `ticks` of them. */
double adapt_share(double share, double ticks);

#endif
