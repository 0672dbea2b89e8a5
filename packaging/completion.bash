# Bash completion of inspectd; the command itself lists its options.
_inspectd_completion() {
    local IFS=$'\n'
    mapfile -t COMPREPLY < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" _INSPECTD_COMPLETE=complete_bash "$1" 2>/dev/null)
}
complete -o default -F _inspectd_completion inspectd
