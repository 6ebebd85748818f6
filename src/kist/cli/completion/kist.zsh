#compdef kist
# Completion of kist in zsh:  source <(kist completion zsh)
# or, once:                   kist completion zsh > "${fpath[1]}/_kist"

_kist() {
    local -a lines found
    local line name
    local -a extra
    lines=("${(@f)$(kist __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in $lines; do
        case $line in
            :files) _files ;;
            :dirs) _files -/ ;;
            :nospace) extra=(-S '') ;;
            '') ;;
            *)
                name=${line%%$'\t'*}
                if [[ $line == *$'\t'* ]]; then
                    found+=("${name//:/\\:}:${line#*$'\t'}")
                else
                    found+=("${name//:/\\:}")
                fi
                ;;
        esac
    done
    (( $#found )) && _describe -V 'kist' found $extra
}

if [ "$funcstack[1]" = "_kist" ]; then
    _kist
else
    compdef _kist kist
fi
