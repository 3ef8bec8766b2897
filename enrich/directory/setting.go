package directory

import "github.com/tokenenrich/caddy-token-enrich/enrich/setting"

// Setting marks err as being about one option of a directory, such as
// user_filter, so that whoever read the configuration can name the line; nil
// stays nil.
func Setting(option string, err error) error { return setting.Wrap(err, option) }
