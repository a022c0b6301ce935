/* SPDX-License-Identifier: BSD-3-Clause */

/* What PCI ports must have: a kernel interface of their own, which is called as the port is. */

#include "control/config/bind.h"
#include "control/config/errors.h"
#include "control/config/model.h"

#include <string.h>

#define INTERFACE_NAME_MAX 15

static bool others_interface(const struct model *m, size_t index, const char *name)
{
	for (size_t i = 0; i < m->port_count; i++)
		if (i != index && m->ports[i].kind == MODEL_DEVICE_INTERFACE &&
			strcmp(m->ports[i].device, name) == 0)
			return true;
	return false;
}

static bool is_listed_before(const struct model *m, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(m->ports[i].device, m->ports[index].device) == 0)
			return true;
	return false;
}

void check_pci_ports(const struct model *m, struct node *list, struct error_list *errors)
{
	size_t i = 0;

	if (m->port_count == 0)
		return;
	for (struct node *item = list->first; item != NULL; item = item->next, i++) {
		const struct model_port *p = &m->ports[i];
		struct node *name = node_get(item, "name");
		struct node *device = node_get(item, "device");

		if (p->kind != MODEL_DEVICE_PCI || !name || name->bad || device->bad)
			continue;
		if (strlen(p->name) > INTERFACE_NAME_MAX || strcmp(p->name, "lo") == 0)
			node_complain(errors, name, NULL,
				"%.80s cannot be the name of a PCI port's kernel interface, expected "
				"at most %d characters and not lo",
				p->name, INTERFACE_NAME_MAX);
		else if (others_interface(m, i, p->name))
			node_complain(errors, name, NULL,
				"%s is the interface of another port, expected a name of its own for "
				"a PCI port's kernel interface",
				p->name);
		if (is_listed_before(m, i) && strcmp(p->device, device->text) != 0)
			node_complain(errors, device, NULL,
				"%s is used already, expected another one", p->device);
	}
}
