/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/adapt/decision.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const adapt_actions[ADAPT_ACTION_COUNT] = { "weight", "eject", "return", "panic", "cap",
	"shed", "shed-end", "police", "box", "police-end", "headroom", "lift", "switch-off",
	"switch-on", "cores", "cores-short", "class", "class-end" };

static const char *const controller_names[] = {
#define X(name, label) label,
	ADAPT_CONTROLLERS(X)
#undef X
};

const char *adapt_controller_name(enum adapt_controller c)
{
	return controller_names[c];
}

const char *adapt_mode_name(enum adapt_mode m)
{
	static const char *const names[] = {
		[ADAPT_OFF] = "off", [ADAPT_OBSERVE] = "observe", [ADAPT_ON] = "on"
	};
	return names[m];
}

static void endpoint_print(const uint8_t address[16], uint16_t port, char *buf, size_t size)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN] = "?";
	bool is_ipv4 = memcmp(address, mapped, sizeof(mapped)) == 0;
	inet_ntop(
		is_ipv4 ? AF_INET : AF_INET6, is_ipv4 ? address + 12 : address, text, sizeof(text));
	if (port == 0)
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, is_ipv4 ? "%s:%u" : "[%s]:%u", text, port);
}

struct adapt_decision decision_make(const struct adapt_signals *s, enum adapt_controller controller,
	const char *action, const struct adapt_backend_signals *b)
{
	struct adapt_decision d = {
		.at_ns = s->now_ns, .controller = controller, .from = NAN, .to = NAN
	};
	snprintf(d.action, sizeof(d.action), "%s", action);
	if (b != NULL)
		endpoint_print(b->address, b->port, d.object, sizeof(d.object));
	return d;
}

void decision_figure(struct adapt_decision *d, const char *name, double value)
{
	if (d->figure_count < ADAPT_FIGURES_MAX && isfinite(value))
		d->figures[d->figure_count++] = (struct adapt_figure){ name, value };
}

void decision_reason(struct adapt_decision *d, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(d->reason, sizeof(d->reason), format, args);
	va_end(args);
}

void decision_tell(struct adapt_decision *d, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	d->observed = settings->mode[d->controller] != ADAPT_ON;
	if (log != NULL && log->decide != NULL)
		log->decide(log->ctx, d);
}

const char *decision_time(double seconds, char buf[16])
{
	if (!isfinite(seconds))
		snprintf(buf, 16, "?");
	else if (seconds >= 1)
		snprintf(buf, 16, "%.3g s", seconds);
	else if (seconds >= 1e-3)
		snprintf(buf, 16, "%.3g ms", seconds * 1e3);
	else
		snprintf(buf, 16, "%.3g us", seconds * 1e6);
	return buf;
}

void decision_sentence(const struct adapt_decision *d, char *buf, size_t size)
{
	char change[64] = "";
	if (isfinite(d->from) && isfinite(d->to))
		snprintf(change, sizeof(change), " %.4g -> %.4g", d->from, d->to);
	else if (isfinite(d->to))
		snprintf(change, sizeof(change), " to %.4g", d->to);
	else if (isfinite(d->from))
		snprintf(change, sizeof(change), " from %.4g", d->from);
	snprintf(buf, size, "%s%s%s%s: %s%s", d->object, *d->object != '\0' ? " " : "", d->action,
		change, d->reason, d->observed ? " (observed only)" : "");
}

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static const char *object_key(const struct adapt_decision *d)
{
	if (d->controller != ADAPT_SOURCES)
		return "backend";
	return strncmp(d->action, "class", 5) == 0 ? "class" : "source";
}

json_t *decision_document(const struct adapt_decision *d, const char *service, double time_s)
{
	char text[512];
	json_t *inputs = json_object();
	if (inputs == NULL)
		return NULL;
	if (*d->object != '\0')
		json_object_set_new(inputs, object_key(d), json_string(d->object));
	for (size_t i = 0; i < d->figure_count; i++)
		json_object_set_new(inputs, d->figures[i].name, number(d->figures[i].value));
	decision_sentence(d, text, sizeof(text));
	return json_pack("{s:f, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:s}", "time", time_s,
		"service", service, "controller", adapt_controller_name(d->controller), "action",
		d->action, "object", d->object, "mode", d->observed ? "observe" : "on", "from",
		number(d->from), "to", number(d->to), "reason", d->reason, "inputs", inputs, "text",
		text);
}
