export const USAGE = `npm run broker -- COMMAND [OPTIONS]

  topics                          topics and how much they hold
  groups                          members, lag, in flight, retrying, dead letters
  lag [GROUP]                     positions by partition
  peek TOPIC                      reads without consuming
       --partition N --offset N --limit N   (default: the last 10 of every partition)
  tail TOPIC [--tag T]            shows messages as they are stored, until Ctrl-C; TOPIC may end in *
  produce TOPIC TAG [BODY]        sends BODY, or every line of the standard input
       --key K --header NAME=VALUE --delay MS --ttl MS --timer ID
  recall TIMER [--topic T]        takes back a delayed message; T where several topics have one of this name
  reschedule TIMER TIME           gives a delayed message another time (2026-11-21T08:00:00Z); --topic as for recall
  dlq GROUP [--limit N]           dead letters, oldest first
  redrive GROUP ID | --all        gives dead letters back to their group, oldest first
       --reason R --topic T --tag T --rate N    those only; N in a second (default: 100)
       --dry-run                                only says how many
  edit GROUP ID [BODY]            changes a dead letter before it is given back
       --header NAME=VALUE        all of its headers
  discard GROUP ID                drops a dead letter for good
  reset GROUP TO                  TO: earliest, latest, PARTITION:OFFSET, or a time (2026-11-21T08:00:00Z)
  delete-group GROUP              ends a group that nobody runs any more, with its retries and dead letters
  delete-topic TOPIC              ends a topic that nobody reads, with all its messages
  timers                          delayed messages
  transactions                    half messages, and those that wait for a decision
  decide ID commit | rollback     decides a transaction in its producer's place
  audit [--group G] [--limit N]   who did what by hand, and what became of dead letters by itself
  trace ID | --key K [--topic T]  what is known of a message, or of the messages of a key

  dump FILE                       what is in a journal segment, entry by entry; needs no broker
  verify DIR                      reads a whole data directory and changes nothing: counts, damage, torn tail;
                                  exit code 1 when a start would refuse it

  --json                          one JSON value per line
  --url URL, --token TOKEN        default: BROKER_URL and BROKER_TOKEN, else what npm run shop keeps in
                                  .stampede/secrets.json`;

/** The command line makes no sense; the message says where. */
export class UsageError extends Error {}
