/* SPDX-License-Identifier: BSD-3-Clause */

/* `top`: options, the terminal, and the loop. */

#include "control/cli/command.h"
#include "control/cli/rpc.h"
#include "control/cli/top/top.h"
#include "control/cli/top/top_poll.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_DEFAULT 1.0
#define INTERVAL_LEAST	 0.2
#define INTERVAL_MOST	 60.0
#define CLOCK_MS	 1000 /* the screen says what time it is */

struct top {
	struct cli *cli;
	struct top_state state;
	struct top_data data;
	struct top_poll *poll;
	SCREEN *screen;
	int signals; /* a signalfd */
};

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int take_options(struct cli *cli, struct top_state *s)
{
	const char *interval = cli_value(cli, "interval", 0), *page = cli_value(cli, "page", 0);
	const char *no_color = getenv("NO_COLOR");
	*s = (struct top_state){ .interval_s = INTERVAL_DEFAULT, .page = TOP_SERVICES };
	for (int i = 0; i < TOP_TABLES; i++)
		s->places[i].sort = -1;
	s->colour =
		cli_value(cli, "no-color", 0) == NULL && (no_color == NULL || no_color[0] == '\0');
	if (interval != NULL) {
		char *end;
		s->interval_s = strtod(interval, &end);
		if (end == interval || *end != '\0' || !isfinite(s->interval_s) ||
			s->interval_s < INTERVAL_LEAST || s->interval_s > INTERVAL_MOST)
			return cli_fail(cli, CLI_USAGE,
				"--interval takes seconds, %g to %g, not \"%s\"", INTERVAL_LEAST,
				INTERVAL_MOST, interval);
	}
	for (int i = 0; page != NULL && i < TOP_TABLES; i++) {
		if (strcmp(page, top_tables[i].title) == 0) {
			s->page = (enum top_page)i;
			return CLI_DONE;
		}
	}
	return page == NULL ? CLI_DONE :
			      cli_fail(cli, CLI_USAGE,
				      "--page takes services, backends or cores, not \"%s\"", page);
}

static struct top_ask ask_of(const struct top_state *s)
{
	struct top_ask ask = { .interval_s = s->paused ? 0 : s->interval_s };
	bool of_backends = s->page == TOP_HISTOGRAM && s->from == TOP_BACKENDS;
	ask.backends = s->page == TOP_BACKENDS || of_backends;
	memcpy(ask.of_service, s->of_service, sizeof(ask.of_service));
	if (s->page == TOP_HISTOGRAM) {
		memcpy(ask.service, s->service, sizeof(ask.service));
		memcpy(ask.backend, s->backend, sizeof(ask.backend));
	}
	return ask;
}

static void take_answer(struct top *t)
{
	struct top_answer answer;
	if (!top_poll_take(t->poll, &answer))
		return;
	if (answer.error[0] != '\0' && t->data.error[0] == '\0')
		t->data.error_since = now_s();
	memcpy(t->data.error, answer.error, sizeof(t->data.error));
	top_data_take(&t->data, answer.live, answer.histogram);
}

static void order_all(struct top *t)
{
	for (int page = 0; page < TOP_TABLES; page++)
		top_data_order(&t->data, &t->state, (enum top_page)page);
}

static void take_keys(struct top *t)
{
	int key;
	bool changed = false, at_once = false;
	while ((key = getch()) != ERR) {
		at_once |= top_key(&t->state, &t->data, key, top_view_rows());
		order_all(t);
		changed = true;
	}
	struct top_ask ask = ask_of(&t->state);
	if (changed)
		top_poll_ask(t->poll, &ask, at_once);
}

static void take_signal(struct top *t)
{
	struct signalfd_siginfo info;
	struct winsize size;
	if (read(t->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGWINCH)
		t->state.quit = true;
	else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
		resizeterm(size.ws_row, size.ws_col);
}

static void run(struct top *t)
{
	while (!t->state.quit) {
		struct pollfd waits[] = { { .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = t->signals, .events = POLLIN },
			{ .fd = top_poll_fd(t->poll), .events = POLLIN } };
		top_view_draw(&t->state, &t->data, t->cli->instance);
		if (poll(waits, 3, CLOCK_MS) <= 0)
			continue;
		if (waits[1].revents != 0)
			take_signal(t);
		if (waits[2].revents != 0) {
			take_answer(t);
			order_all(t);
		}
		if (waits[0].revents & POLLIN)
			take_keys(t);
		else if (waits[0].revents != 0) /* the terminal is gone */
			t->state.quit = true;
	}
}

static int screen_open(struct top *t)
{
	const char *term = getenv("TERM");
	t->screen = newterm(NULL, stdout, stdin);
	if (t->screen == NULL)
		return cli_fail(t->cli, CLI_FAILED,
			"cannot draw on a terminal of type \"%s\"; set TERM to what it is",
			term != NULL ? term : "");
	set_term(t->screen);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	return CLI_DONE;
}

static int live(struct top *t)
{
	struct top_ask ask = ask_of(&t->state);
	sigset_t caught, before;
	sigemptyset(&caught);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGHUP);
	sigaddset(&caught, SIGWINCH);
	/* Before the thread is there, which inherits it. */
	sigprocmask(SIG_BLOCK, &caught, &before);
	t->signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
	int status = t->signals < 0 ?
		cli_fail(t->cli, CLI_FAILED, "cannot wait for signals: %s", strerror(errno)) :
		screen_open(t);
	if (status == CLI_DONE) {
		int err = top_poll_start(t->cli, &ask, &t->poll);
		if (err == 0)
			run(t);
		endwin();
		delscreen(t->screen);
		fflush(stdout);
		if (err != 0)
			status = cli_fail(
				t->cli, CLI_FAILED, "cannot start a thread: %s", strerror(-err));
	}
	/* The terminal is back before an answer that does not come is waited for. */
	top_poll_stop(t->poll);
	if (t->signals >= 0)
		close(t->signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

int command_top(struct cli *cli)
{
	struct top t = { .cli = cli, .signals = -1 };
	json_t *first;
	int status = take_options(cli, &t.state);
	if (status != CLI_DONE)
		return status;
	if (cli->json)
		return cli_fail(cli, CLI_USAGE,
			"top is for people; for programs: weirctl --json service list");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return cli_fail(cli, CLI_FAILED,
			"top needs a terminal; without one: weirctl service list --watch 1");
	/* Who calls the wrong instance should hear of it, and not wait for it. */
	status = rpc_call(cli, "live.show", NULL, RPC_TIMEOUT_MS, &first);
	if (status != CLI_DONE)
		return status;
	(void)setlocale(LC_CTYPE, "");
	top_data_take(&t.data, first, NULL);
	order_all(&t);
	status = live(&t);
	top_data_fini(&t.data);
	return status;
}
