/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/revision/who.h"

#include "control/daemon/rpc/rpc_server.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

/* Only /etc/passwd: a directory server must not make the event loop wait. */
static void user_find(uint32_t uid, char *buf, size_t size)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *p;

	buf[0] = 0;
	while (f && (p = fgetpwent(f))) {
		if (p->pw_uid != uid)
			continue;
		snprintf(buf, size, "%s", p->pw_name);
		break;
	}
	if (f)
		fclose(f);
}

struct who who_asks(const struct rpc_call *call)
{
	const struct rpc_peer *peer = rpc_call_peer(call);
	struct who w = { .known = peer->known, .uid = peer->uid, .pid = peer->pid };

	if (w.known)
		user_find(w.uid, w.user, sizeof(w.user));
	return w;
}

const char *who_print(const struct who *w, char *buf, size_t size)
{
	if (!w->known)
		snprintf(buf, size, "weir-controld");
	else if (w->user[0])
		snprintf(buf, size, "%s (pid %d)", w->user, (int)w->pid);
	else
		snprintf(buf, size, "uid %u (pid %d)", (unsigned int)w->uid, (int)w->pid);
	return buf;
}

json_t *who_document(const struct who *w)
{
	if (!w->known)
		return json_null();
	json_t *user = w->user[0] ? json_string(w->user) : NULL;

	return json_pack("{s:I, s:o, s:i}", "uid", (json_int_t)w->uid, "user",
		user ? user : json_null(), "pid", (int)w->pid);
}

bool who_read(const json_t *document, struct who *ret)
{
	json_t *uid = json_object_get(document, "uid");
	json_t *pid = json_object_get(document, "pid");
	const char *user = json_string_value(json_object_get(document, "user"));

	*ret = (struct who){ .known = false };
	if (json_is_null(document))
		return true;
	if (!json_is_integer(uid) || !json_is_integer(pid) || json_integer_value(uid) < 0 ||
		json_integer_value(uid) > UINT32_MAX || json_integer_value(pid) < 0 ||
		json_integer_value(pid) > INT32_MAX)
		return false;
	ret->known = true;
	ret->uid = (uint32_t)json_integer_value(uid);
	ret->pid = (int32_t)json_integer_value(pid);
	snprintf(ret->user, sizeof(ret->user), "%s", user ? user : "");
	return true;
}
