# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_shmkit_global_optspecs
    string join \n h/help V/version
end

function __fish_shmkit_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_shmkit_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_shmkit_using_subcommand
    set -l cmd (__fish_shmkit_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c shmkit -n "__fish_shmkit_needs_command" -s h -l help -d 'Print help'
complete -c shmkit -n "__fish_shmkit_needs_command" -s V -l version -d 'Print version'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "tour" -d 'Count text with several processes, while some of them are killed'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "ls" -d 'List segments: what they are, who lives in them, what they hold'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "gc" -d 'Remove segments that nobody lives in'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "rm" -d 'Remove segments by name: persistent ones, which nothing else removes. Or single objects of them'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "inspect" -d 'Look into a segment: who takes part, what each object\'s state is, who holds it and who waits for it'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "deadlocks" -d 'Find processes that wait for each other in a circle'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "wait-chains" -d 'Show what a process waits for, whom that keeps waiting, and so on'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "top" -d 'Show what goes on: pipes and queues, locks, pools, and what was left behind'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "doctor" -d 'Say what is wrong, or will be, with shared memory on this machine, and what mends it'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "bench" -d 'Measure how fast it is on this machine: locks, a value, a pipe, a queue, a segment\'s making'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "export" -d 'Give figures of all segments to a monitoring system, as the text of Prometheus and OpenMetrics'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "send" -d 'Send standard input to whoever receives under the same name'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "recv" -d 'Receive what is sent under a name, and write it to standard output'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "call" -d 'Call a task of a running program\'s pool, and print what it returns'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "completions" -d 'Print what a shell needs to complete the commands and options of shmkit'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "man" -d 'Write the manual: a page for each command'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "watch" -d 'Clean up as soon as somebody dies'
complete -c shmkit -n "__fish_shmkit_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c shmkit -n "__fish_shmkit_using_subcommand tour" -s w -l workers -d 'Number of worker processes' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand tour" -l json -d 'Print one JSON object instead'
complete -c shmkit -n "__fish_shmkit_using_subcommand tour" -l no-kill -d 'Kill nobody'
complete -c shmkit -n "__fish_shmkit_using_subcommand tour" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand ls" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand ls" -s a -l all -d 'Also segments without a name that living processes have, as far as you may look at those: a pool\'s, and such as were unlinked'
complete -c shmkit -n "__fish_shmkit_using_subcommand ls" -s l -l long -d 'Also list every participant and every object'
complete -c shmkit -n "__fish_shmkit_using_subcommand ls" -l json -d 'Print JSON, which is always long'
complete -c shmkit -n "__fish_shmkit_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand gc" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand gc" -s y -l yes -d 'Remove them'
complete -c shmkit -n "__fish_shmkit_using_subcommand gc" -l watch -d 'Then go on, and remove what nobody lives in any more as soon as its last participant dies: as `shmkit watch` does'
complete -c shmkit -n "__fish_shmkit_using_subcommand gc" -l damaged -d 'Also those that no program can use any more: cut off or written over, and nobody has a lock on them'
complete -c shmkit -n "__fish_shmkit_using_subcommand gc" -l all-users -d 'Also those of other users, as far as the system lets you: run as root'
complete -c shmkit -n "__fish_shmkit_using_subcommand gc" -l json -d 'Print JSON'
complete -c shmkit -n "__fish_shmkit_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand rm" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand rm" -s f -l force -d 'Also what somebody lives in, or uses'
complete -c shmkit -n "__fish_shmkit_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand inspect" -l most -d 'How many bytes, or values, of the object are shown' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand inspect" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand inspect" -l json -d 'Print JSON'
complete -c shmkit -n "__fish_shmkit_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand deadlocks" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand deadlocks" -l json -d 'Print JSON'
complete -c shmkit -n "__fish_shmkit_using_subcommand deadlocks" -l dot -d 'Print all waits as a graph in the language of Graphviz, the circles in red'
complete -c shmkit -n "__fish_shmkit_using_subcommand deadlocks" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand wait-chains" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand wait-chains" -l json -d 'Print JSON'
complete -c shmkit -n "__fish_shmkit_using_subcommand wait-chains" -s h -l help -d 'Print help'
complete -c shmkit -n "__fish_shmkit_using_subcommand top" -l interval -d 'Seconds from one look at everything to the next' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand top" -l sort -d 'What comes first' -r -f -a "busy\t'What happens most: messages and tasks a second, threads that wait, bytes that were left'
bytes\t'Bytes a second'
fill\t'How full it is'
waiting\t'How many threads wait'
held\t'How often it was found held'
name\t'Segment and object'"
complete -c shmkit -n "__fish_shmkit_using_subcommand top" -l filter -d 'Show only what has this in its name, its kind, or its holder\'s name or number' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand top" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand top" -l once -d 'Print what goes on for one interval, and end'
complete -c shmkit -n "__fish_shmkit_using_subcommand top" -l json -d 'Print JSON: a document for each interval'
complete -c shmkit -n "__fish_shmkit_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand doctor" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand doctor" -l json -d 'Print JSON'
complete -c shmkit -n "__fish_shmkit_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand bench" -l rounds -d 'How often each is measured' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand bench" -l svg -d 'Draw the figures into this file, too' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand bench" -l directory -d 'Where the segment\'s file is that is made and removed' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand bench" -l json -d 'Print JSON'
complete -c shmkit -n "__fish_shmkit_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand export" -l listen -d 'Answer requests for /metrics: on a loopback address, or on a Unix socket, which is made there' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand export" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand send" -l timeout -d 'For how many seconds to wait for the other side; without, for ever' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand send" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand recv" -l timeout -d 'For how many seconds to wait for the other side; without, for ever' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand recv" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand recv" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand call" -l timeout -d 'For how many seconds to wait. Then the call is called off, or its worker is killed if it has begun. Without, as long as the program lets it take' -r
complete -c shmkit -n "__fish_shmkit_using_subcommand call" -l json -d 'Print one JSON document'
complete -c shmkit -n "__fish_shmkit_using_subcommand call" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand completions" -s h -l help -d 'Print help'
complete -c shmkit -n "__fish_shmkit_using_subcommand man" -s h -l help -d 'Print help'
complete -c shmkit -n "__fish_shmkit_using_subcommand watch" -l directory -d 'Where the segments\' files are' -r -F
complete -c shmkit -n "__fish_shmkit_using_subcommand watch" -l detach -d 'Go on in the background, until there is nothing to watch: nobody who has asked for a watcher, and no segment in use'
complete -c shmkit -n "__fish_shmkit_using_subcommand watch" -l json -d 'Print JSON: a document for each thing that is cleaned up'
complete -c shmkit -n "__fish_shmkit_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "tour" -d 'Count text with several processes, while some of them are killed'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "ls" -d 'List segments: what they are, who lives in them, what they hold'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "gc" -d 'Remove segments that nobody lives in'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "rm" -d 'Remove segments by name: persistent ones, which nothing else removes. Or single objects of them'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "inspect" -d 'Look into a segment: who takes part, what each object\'s state is, who holds it and who waits for it'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "deadlocks" -d 'Find processes that wait for each other in a circle'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "wait-chains" -d 'Show what a process waits for, whom that keeps waiting, and so on'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "top" -d 'Show what goes on: pipes and queues, locks, pools, and what was left behind'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "doctor" -d 'Say what is wrong, or will be, with shared memory on this machine, and what mends it'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "bench" -d 'Measure how fast it is on this machine: locks, a value, a pipe, a queue, a segment\'s making'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "export" -d 'Give figures of all segments to a monitoring system, as the text of Prometheus and OpenMetrics'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "send" -d 'Send standard input to whoever receives under the same name'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "recv" -d 'Receive what is sent under a name, and write it to standard output'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "call" -d 'Call a task of a running program\'s pool, and print what it returns'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "completions" -d 'Print what a shell needs to complete the commands and options of shmkit'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "man" -d 'Write the manual: a page for each command'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "watch" -d 'Clean up as soon as somebody dies'
complete -c shmkit -n "__fish_shmkit_using_subcommand help; and not __fish_seen_subcommand_from tour ls gc rm inspect deadlocks wait-chains top doctor bench export send recv call completions man watch help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
