# Completion of kist in bash:  source <(kist completion bash)
# For an alias too:            alias docker=kist; complete -F _kist docker

_kist() {
    local line=${COMP_LINE:0:COMP_POINT} found word
    COMPREPLY=()
    while IFS= read -r found; do
        case $found in
            :files) compopt -o default 2>/dev/null ;;
            :dirs)
                compopt -o filenames 2>/dev/null
                word=${COMP_WORDS[COMP_CWORD]}
                while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -d -- "$word")
                ;;
            :nospace) compopt -o nospace 2>/dev/null ;;
            *) COMPREPLY+=("$found") ;;
        esac
    done < <("${COMP_WORDS[0]/#docker/kist}" __complete --bash "$COMP_WORDBREAKS" "$line" 2>/dev/null)
}

complete -F _kist kist
