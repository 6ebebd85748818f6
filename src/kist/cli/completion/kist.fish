# Completion of kist in fish:  kist completion fish | source
# or, once:                    kist completion fish > ~/.config/fish/completions/kist.fish

function __kist_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (kist __complete $words[2..-1] 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :dirs
                __fish_complete_directories (commandline -ct)
            case :nospace
                # fish adds no space after = : , . by itself
            case '*'
                echo $line
        end
    end
end

complete -c kist -f -a '(__kist_complete)'
