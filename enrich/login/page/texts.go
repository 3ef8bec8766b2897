package page

import "golang.org/x/text/language"

// All words of the pages, in each language that they speak. A text for a person
// avoids terms such as provider, token and cookie store, and in languages with
// grammatical gender it does not presume one.

// The languages, as indexes of a sentence. English is the one for all others.
const (
	english = iota
	german
	french
	spanish

	languageCount
)

// tags are the languages' names, in the same order.
var tags = [languageCount]language.Tag{language.English, language.German, language.French, language.Spanish}

// A phrase is one text in all languages.
type phrase [languageCount]string

// button is the word on the button of the sign-out page.
var button = phrase{"Sign out", "Abmelden", "Se déconnecter", "Cerrar sesión"}

// errorLabel stands before an error's ID.
var errorLabel = phrase{"Error ID:", "Fehler-ID:", "Identifiant de l’erreur\u00a0:", "Identificador del error:"}

// providerPlace is where a label has the provider's name.
const providerPlace = "{provider}"

var labels = [labelCount]phrase{
	SignInWith:   {"Sign in with {provider}", "Mit {provider} anmelden", "Se connecter avec {provider}", "Iniciar sesión con {provider}"},
	SignInAgain:  {"Sign in again", "Erneut anmelden", "Se reconnecter", "Iniciar sesión de nuevo"},
	TryAgain:     {"Try again", "Erneut versuchen", "Réessayer", "Volver a intentarlo"},
	OtherAccount: {"Sign in with another account", "Mit einem anderen Konto anmelden", "Se connecter avec un autre compte", "Iniciar sesión con otra cuenta"},
	Back:         {"Back to the application", "Zurück zur Anwendung", "Retour à l’application", "Volver a la aplicación"},
}

// A wording is a message's title and what stands below it.
type wording struct{ title, text string }

var words = [messageCount][languageCount]wording{
	Choose: {
		english: {"Sign in", "Choose how you would like to sign in."},
		german:  {"Anmelden", "Wählen Sie, wie Sie sich anmelden möchten."},
		french:  {"Connexion", "Choisissez comment vous souhaitez vous connecter."},
		spanish: {"Iniciar sesión", "Elija cómo desea iniciar sesión."},
	},
	SessionEnded: {
		english: {"Your session has ended", "What you just sent was not saved and was not passed on. Please sign in again and then repeat your last step."},
		german:  {"Ihre Sitzung ist beendet", "Was Sie gerade abgeschickt haben, wurde weder gespeichert noch weitergeleitet. Bitte melden Sie sich erneut an und wiederholen Sie dann den letzten Schritt."},
		french:  {"Votre session a pris fin", "Ce que vous venez d’envoyer n’a été ni enregistré ni transmis. Veuillez vous reconnecter, puis recommencer la dernière étape."},
		spanish: {"Su sesión ha finalizado", "Lo que acaba de enviar no se ha guardado ni se ha transmitido. Inicie sesión de nuevo y repita el último paso."},
	},
	AskSignOut: {
		english: {"Sign out?", "This ends your session in this application, and perhaps also in others that you use with the same account."},
		german:  {"Abmelden?", "Damit endet Ihre Sitzung in dieser Anwendung und möglicherweise auch in anderen, die Sie mit demselben Konto nutzen."},
		french:  {"Se déconnecter\u202f?", "Votre session dans cette application prendra fin, et peut-être aussi dans d’autres que vous utilisez avec le même compte."},
		spanish: {"¿Cerrar sesión?", "Se cerrará su sesión en esta aplicación y quizá también en otras que utilice con la misma cuenta."},
	},
	SignedOut: {
		english: {"You are signed out", "You can now close this window or sign in again."},
		german:  {"Sie sind abgemeldet", "Sie können dieses Fenster jetzt schließen oder sich erneut anmelden."},
		french:  {"Déconnexion effectuée", "Vous pouvez maintenant fermer cette fenêtre ou vous reconnecter."},
		spanish: {"Ha cerrado la sesión", "Ya puede cerrar esta ventana o iniciar sesión de nuevo."},
	},
	SignedOutHere: {
		english: {"Signed out of this application only", "The sign-in service could not be told, so you may still be signed in there. On a shared computer, please sign out there as well."},
		german:  {"Nur von dieser Anwendung abgemeldet", "Der Anmeldedienst konnte nicht benachrichtigt werden; möglicherweise sind Sie dort noch angemeldet. Melden Sie sich an einem gemeinsam genutzten Computer bitte auch dort ab."},
		french:  {"Déconnexion de cette application seulement", "Le service de connexion n’a pas pu être prévenu\u00a0: votre session y est peut-être encore ouverte. Sur un ordinateur partagé, veuillez aussi vous y déconnecter."},
		spanish: {"Sesión cerrada solo en esta aplicación", "No se ha podido avisar al servicio de inicio de sesión, por lo que su sesión puede seguir abierta allí. En un equipo compartido, ciérrela también allí."},
	},
	AccessDenied: {
		english: {"Access denied", "The sign-in service did not let you in. If you should have access, please contact your IT support."},
		german:  {"Zugriff verweigert", "Der Anmeldedienst hat Ihnen keinen Zugriff gewährt. Wenn Sie Zugriff haben sollten, wenden Sie sich bitte an Ihren IT-Support."},
		french:  {"Accès refusé", "Le service de connexion ne vous a pas accordé l’accès. Si vous pensez y avoir droit, veuillez contacter votre service informatique."},
		spanish: {"Acceso denegado", "El servicio de inicio de sesión no le ha permitido entrar. Si debería tener acceso, póngase en contacto con su equipo de soporte."},
	},
	Cancelled: {
		english: {"Sign-in cancelled", "The sign-in was not completed. You can try again at any time."},
		german:  {"Anmeldung abgebrochen", "Die Anmeldung wurde nicht abgeschlossen. Sie können es jederzeit erneut versuchen."},
		french:  {"Connexion annulée", "La connexion n’a pas été menée à son terme. Vous pouvez réessayer à tout moment."},
		spanish: {"Inicio de sesión cancelado", "El inicio de sesión no se ha completado. Puede volver a intentarlo cuando quiera."},
	},
	Expired: {
		english: {"Sign-in could not be completed", "Either it took too long, or your browser does not accept cookies from this site. Please allow cookies and try again."},
		german:  {"Anmeldung nicht abgeschlossen", "Entweder hat sie zu lange gedauert, oder Ihr Browser nimmt von dieser Website keine Cookies an. Bitte lassen Sie Cookies zu und versuchen Sie es erneut."},
		french:  {"La connexion n’a pas abouti", "Soit elle a pris trop de temps, soit votre navigateur refuse les cookies de ce site. Veuillez autoriser les cookies et réessayer."},
		spanish: {"No se pudo completar el inicio de sesión", "O bien ha tardado demasiado, o bien su navegador no acepta cookies de este sitio. Permita las cookies y vuelva a intentarlo."},
	},
	SignInFailed: {
		english: {"Sign-in failed", "The sign-in service sent an answer that cannot be used. Please try again; if it happens again, give the error ID to your IT support."},
		german:  {"Anmeldung fehlgeschlagen", "Der Anmeldedienst hat eine Antwort gesendet, die nicht verwendet werden kann. Bitte versuchen Sie es erneut; wenn es wieder vorkommt, nennen Sie Ihrem IT-Support die Fehler-ID."},
		french:  {"Échec de la connexion", "Le service de connexion a envoyé une réponse inutilisable. Veuillez réessayer\u202f; si le problème persiste, communiquez l’identifiant de l’erreur à votre service informatique."},
		spanish: {"Error al iniciar sesión", "El servicio de inicio de sesión ha enviado una respuesta que no se puede utilizar. Vuelva a intentarlo; si ocurre de nuevo, indique el identificador del error a su equipo de soporte."},
	},
	ProviderUnreachable: {
		english: {"Sign-in is not available right now", "The sign-in service cannot be reached. Please try again in a moment."},
		german:  {"Anmeldung zurzeit nicht möglich", "Der Anmeldedienst ist nicht erreichbar. Bitte versuchen Sie es in Kürze erneut."},
		french:  {"Connexion momentanément impossible", "Le service de connexion est injoignable. Veuillez réessayer dans un instant."},
		spanish: {"Inicio de sesión no disponible por ahora", "No se puede contactar con el servicio de inicio de sesión. Vuelva a intentarlo dentro de un momento."},
	},
	StoreUnreachable: {
		english: {"Temporarily unavailable", "Your session is not available right now. Please try again in a moment."},
		german:  {"Vorübergehend nicht verfügbar", "Ihre Sitzung ist zurzeit nicht verfügbar. Bitte versuchen Sie es in Kürze erneut."},
		french:  {"Momentanément indisponible", "Votre session est inaccessible pour l’instant. Veuillez réessayer dans un instant."},
		spanish: {"No disponible temporalmente", "Su sesión no está disponible en este momento. Vuelva a intentarlo dentro de un momento."},
	},
	NotStrongEnough: {
		english: {"A stronger sign-in is required", "Your organization requires a stronger sign-in for this page, for example with a second factor. Yours was not strong enough."},
		german:  {"Stärkere Anmeldung erforderlich", "Ihre Organisation verlangt für diese Seite eine stärkere Anmeldung, zum Beispiel mit einem zweiten Faktor. Ihre Anmeldung reicht dafür nicht aus."},
		french:  {"Authentification renforcée requise", "Pour cette page, votre organisation exige une connexion plus sûre, par exemple avec un second facteur. La vôtre ne suffit pas."},
		spanish: {"Se requiere un inicio de sesión más seguro", "Para esta página, su organización exige un inicio de sesión más seguro, por ejemplo con un segundo factor. El suyo no es suficiente."},
	},
	OtherProvider: {
		english: {"Another sign-in is required", "You are signed in with a service that this application does not accept. Please sign in with one that it accepts."},
		german:  {"Andere Anmeldung erforderlich", "Sie sind über einen Dienst angemeldet, den diese Anwendung nicht akzeptiert. Bitte melden Sie sich über einen zugelassenen Dienst an."},
		french:  {"Une autre connexion est requise", "Votre session provient d’un service que cette application n’accepte pas. Veuillez vous connecter avec un service accepté."},
		spanish: {"Se requiere otro inicio de sesión", "Su sesión procede de un servicio que esta aplicación no acepta. Inicie sesión con uno que sí acepte."},
	},
	Malformed: {
		english: {"This request is not valid", "Your browser sent something that cannot be processed. Please open the application again."},
		german:  {"Ungültige Anfrage", "Ihr Browser hat etwas gesendet, das nicht verarbeitet werden kann. Bitte rufen Sie die Anwendung neu auf."},
		french:  {"Requête non valide", "Votre navigateur a envoyé une requête qui ne peut pas être traitée. Veuillez ouvrir à nouveau l’application."},
		spanish: {"Solicitud no válida", "Su navegador ha enviado algo que no se puede procesar. Abra de nuevo la aplicación."},
	},
	TooLarge: {
		english: {"This account cannot be signed in", "Your account carries more information, such as groups, than fits into a session. Please give the error ID to your IT support."},
		german:  {"Anmeldung mit diesem Konto nicht möglich", "Zu Ihrem Konto gehören mehr Angaben, etwa Gruppen, als in eine Sitzung passen. Bitte nennen Sie Ihrem IT-Support die Fehler-ID."},
		french:  {"Connexion impossible avec ce compte", "Votre compte comporte plus d’informations, par exemple des groupes, qu’une session ne peut en contenir. Veuillez communiquer l’identifiant de l’erreur à votre service informatique."},
		spanish: {"No se puede iniciar sesión con esta cuenta", "Su cuenta contiene más información, por ejemplo grupos, de la que cabe en una sesión. Indique el identificador del error a su equipo de soporte."},
	},
	Blocked: {
		english: {"Your access is blocked", "Your account or your session has been blocked. If you did not expect this, please contact your IT support."},
		german:  {"Ihr Zugang ist gesperrt", "Ihr Konto oder Ihre Sitzung wurde gesperrt. Wenn Sie das nicht erwartet haben, wenden Sie sich bitte an Ihren IT-Support."},
		french:  {"Votre accès est bloqué", "Votre compte ou votre session a été bloqué. Si cela vous surprend, veuillez contacter votre service informatique."},
		spanish: {"Su acceso está bloqueado", "Se ha bloqueado su cuenta o su sesión. Si no lo esperaba, póngase en contacto con su equipo de soporte."},
	},
	Internal: {
		english: {"Something went wrong", "This is not your fault. Please try again; if it happens again, give the error ID to your IT support."},
		german:  {"Etwas ist schiefgelaufen", "Das liegt nicht an Ihnen. Bitte versuchen Sie es erneut; wenn es wieder vorkommt, nennen Sie Ihrem IT-Support die Fehler-ID."},
		french:  {"Une erreur s’est produite", "Vous n’y êtes pour rien. Veuillez réessayer\u202f; si le problème persiste, communiquez l’identifiant de l’erreur à votre service informatique."},
		spanish: {"Se ha producido un error", "No es culpa suya. Vuelva a intentarlo; si ocurre de nuevo, indique el identificador del error a su equipo de soporte."},
	},
}
