/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/policy.h"
#include "control/cli/printer.h"

/* libpcap's idea of BPF instructions is an older one, of the same names as the kernel's. */
#define PCAP_DONT_INCLUDE_PCAP_BPF_H
struct bpf_program;
#include <pcap/dlt.h>
#include <pcap/pcap.h>
#include <string.h>

static int read_packets(struct cli *cli, pcap_t *capture, struct policy_trier *trier)
{
	const char *path = cli_value(cli, "pcap", 0);
	struct pcap_pkthdr *header;
	const u_char *bytes;
	uint64_t now = 0;
	int rc;

	while ((rc = pcap_next_ex(capture, &header, &bytes)) == 1) {
		uint64_t ns =
			(uint64_t)header->ts.tv_sec * 1000000000u + (uint64_t)header->ts.tv_usec;

		/* Merged captures can go back; time does not. */
		now = ns > now ? ns : now;
		policy_trier_packet(trier, bytes, header->caplen, header->len, now);
	}
	if (rc == PCAP_ERROR_BREAK)
		return CLI_DONE;
	return cli_fail(cli, CLI_FAILED, "%s: %s", path, pcap_geterr(capture));
}

static int open_capture(struct cli *cli, pcap_t **ret_capture)
{
	const char *path = cli_value(cli, "pcap", 0);
	char err[PCAP_ERRBUF_SIZE] = "";
	pcap_t *capture =
		pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, err);

	if (capture == NULL)
		return cli_fail(cli, CLI_FAILED, "%s: %s", path, err);
	if (pcap_datalink(capture) != DLT_EN10MB) {
		pcap_close(capture);
		return cli_fail(cli, CLI_FAILED,
			"%s has no Ethernet headers; capture on an Ethernet interface", path);
	}
	*ret_capture = capture;
	return CLI_DONE;
}

/* The interpreter says what an unverified policy did that it must not. */
static void tell_fault(
	struct cli *cli, struct policy_admission *a, const struct policy_trial *trial)
{
	const char *file, *text;

	if (trial->fault == POLICY_FAULT_NONE)
		return;
	a->insn = trial->fault_insn;
	const struct policy_image_line *line = policy_admission_line(a, &file, &text);

	fprintf(cli->err, "weirctl: packet %llu: the policy %s",
		(unsigned long long)trial->first_aborted, policy_fault_text(trial->fault));
	if (line)
		fprintf(cli->err, ": %s:%u\n%8u | %s", file, line->line, line->line, text);
	fputc('\n', cli->err);
}

static int run(struct cli *cli, struct policy_admission *a, pcap_t *capture)
{
	struct policy_trier *trier;
	struct policy_trial trial;

	if (policy_trier_create(a->program, &trier) < 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	int status = read_packets(cli, capture, trier);

	if (status == CLI_DONE && policy_trier_read(trier, &trial) < 0)
		status = cli_fail(cli, CLI_FAILED, "out of memory");
	policy_trier_destroy(trier);
	if (status != CLI_DONE)
		return status;
	json_t *document = policy_document(cli->arguments[0], a, &trial);

	if (!printer_json(cli, document))
		status = policy_print(cli, document);
	tell_fault(cli, a, &trial);
	json_decref(document);
	return status;
}

int command_policy_run(struct cli *cli)
{
	struct policy_admission a;
	pcap_t *capture = NULL;
	int status = policy_admit_argument(cli, false, &a);

	if (status != CLI_DONE)
		return status;
	if (a.outcome == POLICY_REFUSED) {
		json_t *document = policy_document(cli->arguments[0], &a, NULL);

		printer_json(cli, document);
		json_decref(document);
		status = policy_refused(cli, &a);
	} else {
		status = open_capture(cli, &capture);
	}
	if (status == CLI_DONE) {
		status = run(cli, &a, capture);
		pcap_close(capture);
	}
	policy_admission_fini(&a);
	return status;
}
