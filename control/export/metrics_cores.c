/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What packet cores say of the machine: how long they were away, and how late they were woken. And of
 * services: how many cores they have, and how busy they keep them.
 */

#include "control/export/metrics_private.h"
#include "control/report/report.h"

void metrics_core_labels(
	struct labels *l, const struct metrics_input *in, const struct snapshot_core *c)
{
	char cpu[16];

	snprintf(cpu, sizeof(cpu), "%u", c->entry.cpu);
	labels_begin(l, in->instance);
	labels_add(l, "cpu", cpu);
}

static double gaps_count(const struct snapshot *s, const struct weir_core_gaps *g)
{
	return (double)g->count;
}

static double gaps_seconds(const struct snapshot *s, const struct weir_core_gaps *g)
{
	return (double)g->sum_ns / 1e9;
}

static double gaps_longest(const struct snapshot *s, const struct weir_core_gaps *g)
{
	const struct weir_gap *longest = report_gap_longest(s, g, 0);

	return longest ? (double)longest->length_ns / 1e9 : 0;
}

void metrics_core_delays(const struct metrics_input *in, struct evbuffer *out)
{
	static const struct {
		const char *name;
		const char *type;
		const char *help;
		double (*read)(const struct snapshot *s, const struct weir_core_gaps *g);
	} figures[] = {
		{ "weir_core_gaps_total", "counter",
			"Times that a packet core began a round more than 100 us late.",
			gaps_count },
		{ "weir_core_gap_seconds_total", "counter", "The time of those gaps.",
			gaps_seconds },
		{ "weir_core_gap_longest_seconds", "gauge",
			"The longest gap of a packet core in the last minute; 0: none.",
			gaps_longest },
	};
	struct labels l;

	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
		metrics_family(out, figures[f].name, figures[f].type, figures[f].help);
		for (size_t i = 0; i < in->now->core_count; i++) {
			const struct snapshot_core *c = &in->now->cores[i];

			metrics_core_labels(&l, in, c);
			metrics_sample_double(
				out, figures[f].name, &l, figures[f].read(in->now, &c->cell.gaps));
		}
	}
	metrics_family(out, "weir_core_wakeup_seconds", "histogram",
		"How late an idle packet core was woken: from the end of its sleep to its next "
		"round.");
	for (size_t i = 0; i < in->now->core_count; i++) {
		metrics_core_labels(&l, in, &in->now->cores[i]);
		metrics_histogram(
			out, "weir_core_wakeup_seconds", &l, &in->now->cores[i].cell.wakeup);
	}
}

static double cores_of(const struct snapshot *s, const struct snapshot_service *of)
{
	return (double)__builtin_popcountll(of->entry.worker_mask);
}

static double cores_wanted(const struct snapshot *s, const struct snapshot_service *of)
{
	return (double)of->entry.cores_wanted;
}

static double cores_lacking(const struct snapshot *s, const struct snapshot_service *of)
{
	return (double)of->entry.cores_short;
}

static double cores_seconds(const struct snapshot *s, const struct snapshot_service *of)
{
	return s->tsc_hz ? (double)of->sum.busy_cycles / (double)s->tsc_hz : 0;
}

void metrics_service_cores(const struct metrics_input *in, struct evbuffer *out)
{
	static const struct {
		const char *name;
		const char *type;
		const char *help;
		double (*read)(const struct snapshot *s, const struct snapshot_service *of);
	} figures[] = {
		{ "weir_service_cores", "gauge", "Worker cores that the service has.", cores_of },
		{ "weir_service_cores_wanted", "gauge", "Worker cores that it is to have now.",
			cores_wanted },
		{ "weir_service_cores_lacking", "gauge",
			"Those of them that it does not get, as none is free.", cores_lacking },
		{ "weir_service_busy_seconds_total", "counter",
			"Time that worker cores spent on the service's packets.", cores_seconds },
	};
	struct labels l;

	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
		metrics_family(out, figures[f].name, figures[f].type, figures[f].help);
		for (size_t i = 0; i < in->now->service_count; i++) {
			const struct snapshot_service *s = &in->now->services[i];

			labels_begin(&l, in->instance);
			labels_add(&l, "service", s->entry.name);
			metrics_sample_double(
				out, figures[f].name, &l, figures[f].read(in->now, s));
		}
	}
}
