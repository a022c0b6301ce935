/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/report_private.h"
#include "dataplane/api/histogram.h"

#include <arpa/inet.h>
#include <math.h>

static const char *const drop_labels[] = {
#define X(name, label, help) label,
	WEIR_DROP_REASONS(X)
#undef X
};

json_t *report_count(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

json_t *report_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

json_t *report_address(const struct address *a)
{
	char text[INET6_ADDRSTRLEN];
	return json_string(address_print(a, text, sizeof(text)));
}

json_t *report_port_number(uint16_t port)
{
	return port == 0 ? json_string("any") : json_integer(port);
}

json_t *report_text(const char *text)
{
	json_t *s = json_string(text);
	return s != NULL ? s : json_string("?");
}

double report_share(double part, double whole)
{
	return whole == 0 ? NAN : part / whole;
}

static json_t *percentiles(const struct weir_histogram *h, bool with_tail)
{
	json_t *o = json_pack("{s:o, s:o}", "p50", report_number(weir_histogram_quantile(h, 0.50)),
		"p99", report_number(weir_histogram_quantile(h, 0.99)));
	if (o != NULL && with_tail &&
		(json_object_set_new(o, "p999", report_number(weir_histogram_quantile(h, 0.999))) ||
			json_object_set_new(
				o, "p9999", report_number(weir_histogram_quantile(h, 0.9999))))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *report_percentiles(
	const struct weir_histogram *now, const struct weir_histogram *base, bool with_tail)
{
	if (now != NULL && base != NULL && now->count > base->count) {
		struct weir_histogram since = { 0 };
		weir_histogram_add(&since, now, base);
		return percentiles(&since, with_tail);
	}
	static const struct weir_histogram empty;
	return percentiles(now != NULL ? now : &empty, with_tail);
}

json_t *report_dropped(const uint64_t dropped[WEIR_DROP_COUNT])
{
	json_t *o = json_object();
	for (int i = 0; o != NULL && i < WEIR_DROP_COUNT; i++) {
		if (dropped[i] == 0)
			continue;
		if (json_object_set_new(o, drop_labels[i], report_count(dropped[i])) != 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}
