/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/filter.h"

#include "dataplane/api/trace.h"

#include <pcap/pcap.h>

static json_t *program_document(const struct bpf_program *program)
{
	json_t *list = json_array();
	for (unsigned int i = 0; i < program->bf_len; i++) {
		const struct bpf_insn *insn = &program->bf_insns[i];
		json_array_append_new(list,
			json_pack("[i, i, i, I]", (int)insn->code, (int)insn->jt, (int)insn->jf,
				(json_int_t)insn->k));
	}
	return list;
}

int filter_compile(struct cli *cli, const char *expression, json_t **ret_program)
{
	struct bpf_program program;
	pcap_t *ethernet = pcap_open_dead(DLT_EN10MB, 65535);
	if (ethernet == NULL)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	int status = CLI_DONE;
	if (pcap_compile(ethernet, &program, expression, 1, PCAP_NETMASK_UNKNOWN) != 0) {
		status = cli_fail(cli, CLI_USAGE, "--match \"%s\": %s; see pcap-filter(7)",
			expression, pcap_geterr(ethernet));
	} else {
		if (program.bf_len > WEIR_TRACE_MAX_INSTRUCTIONS)
			status = cli_fail(cli, CLI_USAGE,
				"--match: the expression makes %u instructions, at most %d are "
				"possible",
				program.bf_len, WEIR_TRACE_MAX_INSTRUCTIONS);
		else
			*ret_program = program_document(&program);
		pcap_freecode(&program);
	}
	pcap_close(ethernet);
	return status;
}
